"""What the service model asks of a request, checked in AWS's words.

botocore's client stops missing members and values under `min`; `max`, `pattern` and `enum` it lets through.

Spelling of paths and texts: `'productionVariants.1.member.instanceType'` for members of structures in lists
(source: aws/sagemaker-python-sdk#1623), the list or map itself with `Member must satisfy constraint: […]`,
`Map value must satisfy constraint: […]`, `Map keys must satisfy constraint: […]` for scalars in them, with
its value as Java prints it (sources: aws/sagemaker-python-sdk#314, boto/boto3#2601).
"""

import logging
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from clary.kernel.errors import ValidationException
from clary.wire.codecs.misfit import member_name
from clary.wire.pattern import Matcher, matcher
from clary.wire.service import Operation
from clary.wire.shape import Shape

Check = Callable[[Any, str, list[str]], None]
"""Looks at a value at a path, and adds what is wrong to a list of texts."""

MAX_SHOWN = 1000
"""Characters of a value that a text shows."""
MAX_FAULTS = 100
"""Faults that a text names; the count in front is of all."""
MAX_MATCHED = 65_536
"""Longest text that is held against a pattern where the model sets no `max`."""

log = logging.getLogger(__name__)


def validate(operation: Operation, params: dict[str, Any]) -> None:
    """Check a parsed request against the operation's input.

    Raises
    ------
    ValidationException
        It breaks constraints of the model; the text names each member, its value and the constraint.
    """
    check = checker(operation.input)
    if check is None:
        return
    faults: list[str] = []
    check(params, "", faults)
    if faults:
        n = len(faults)
        what = "validation error" if n == 1 else "validation errors"
        raise ValidationException(f"{n} {what} detected: {'; '.join(faults[:MAX_FAULTS])}")


@cache
def checker(shape: Shape) -> Check | None:
    """Return the check of `shape`, or None when it asks for nothing."""
    if shape.is_document:
        return None
    if shape.type_name == "structure":
        return _structure(shape)
    if shape.type_name == "list":
        return _list(shape)
    if shape.type_name == "map":
        return _map(shape)
    rules = rules_of(shape)
    if not rules:
        return None

    def check(value: Any, path: str, faults: list[str]) -> None:
        for holds, text in rules:
            if not holds(value):
                faults.append(_fault(shape, value, path, text))

    return check


Rule = tuple[Callable[[Any], bool], str]
"""A test of a value, and AWS's words for what it asks."""


@cache
def rules_of(shape: Shape) -> tuple[Rule, ...]:
    """Return what a scalar, or a list's or map's size, must satisfy; in the order in which AWS names them."""
    found: list[Rule] = []
    low, high = shape.min, shape.max
    is_number = shape.type_name in {"integer", "long", "float", "double"}
    is_sized = shape.type_name in {"string", "blob", "list", "map"}
    if is_number:
        if high is not None:
            found.append((_at_most(high), f"Member must have value less than or equal to {high:g}"))
        if low is not None:
            found.append((_at_least(low), f"Member must have value greater than or equal to {low:g}"))
    elif is_sized:
        if high is not None:
            found.append((_no_longer(high), f"Member must have length less than or equal to {int(high)}"))
        if low:
            found.append((_no_shorter(low), f"Member must have length greater than or equal to {int(low)}"))
    if shape.type_name == "string" and shape.enum:
        values = frozenset(shape.enum)
        found.append((values.__contains__, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"))
    elif shape.type_name == "string" and shape.pattern:
        match = _matcher(shape.pattern)
        if match is not None:
            longest = high if high is not None else MAX_MATCHED
            text = f"Member must satisfy regular expression pattern: {shape.pattern}"
            found.append((lambda value: len(value) <= longest and match(value), text))
    return tuple(found)


def _matcher(pattern: str) -> Matcher | None:
    try:
        return matcher(pattern)
    except ValueError as error:
        log.warning("a pattern of the service model is not checked: %s", error)
        return None


def _at_most(limit: float) -> Callable[[Any], bool]:
    return lambda value: bool(value <= limit)


def _at_least(limit: float) -> Callable[[Any], bool]:
    return lambda value: bool(value >= limit)


def _no_longer(limit: float) -> Callable[[Any], bool]:
    return lambda value: len(value) <= limit


def _no_shorter(limit: float) -> Callable[[Any], bool]:
    return lambda value: len(value) >= limit


def _structure(shape: Shape) -> Check:
    required = shape.required
    known: dict[str, tuple[str, Check]] | None = None

    def check(value: Any, path: str, faults: list[str]) -> None:
        nonlocal known
        checks = known
        if checks is None:  # filled late, for a shape may contain itself
            checks = known = {
                name: (member_name(name), found)
                for name, member in shape.members.items()
                if (found := checker(member)) is not None
            }
        prefix = f"{path}." if path else ""
        faults.extend(_missing(f"{prefix}{member_name(name)}") for name in required if name not in value)
        for name, item in value.items():
            if name in checks:
                wire, check_member = checks[name]
                check_member(item, f"{prefix}{wire}", faults)
        if shape.is_union and len(value) != 1:
            names = ", ".join(map(member_name, shape.members))
            text = f"Member must have exactly one of its members set: [{names}]"
            faults.append(_fault(shape, value, path, text))

    return check


def _list(shape: Shape) -> Check:
    element = shape.element
    rules = rules_of(shape)
    if not _is_nested(element):
        return _of_scalars(shape, rules, [("Member must satisfy constraint", element, _elements)])

    def check(value: Any, path: str, faults: list[str]) -> None:
        _check_rules(shape, rules, value, path, faults)
        check_element = checker(element)
        for number, item in enumerate(value, 1):
            if item is None:
                faults.append(_missing(f"{path}.{number}.member"))
            elif check_element is not None:
                check_element(item, f"{path}.{number}.member", faults)

    return check


def _map(shape: Shape) -> Check:
    rules = rules_of(shape)
    keys = ("Map keys must satisfy constraint", shape.key, _keys)
    if not _is_nested(shape.value):
        return _of_scalars(shape, rules, [keys, ("Map value must satisfy constraint", shape.value, _values)])
    of_keys = _of_scalars(shape, rules, [keys])

    def check(value: Any, path: str, faults: list[str]) -> None:
        of_keys(value, path, faults)
        check_value = checker(shape.value)
        if check_value is not None:
            for key, item in value.items():
                check_value(item, f"{path}.{key}.member", faults)

    return check


Part = tuple[str, Shape, Callable[[Any], Iterable[Any]]]
"""How AWS introduces what scalars inside must satisfy, their shape, and how to reach them."""


def _of_scalars(shape: Shape, rules: tuple[Rule, ...], parts: list[Part]) -> Check:
    """Return the check of a list or map of scalars: one text for all of them."""
    inner = [
        (reach, rules_of(part), f"{intro}: [{', '.join(text for _, text in rules_of(part))}]")
        for intro, part, reach in parts
    ]

    def check(value: Any, path: str, faults: list[str]) -> None:
        _check_rules(shape, rules, value, path, faults)
        for reach, tests, text in inner:
            items = reach(value)
            if any(item is None for item in items):
                faults.append(_fault(shape, value, path, "Member must not be null"))
            elif not all(holds(item) for item in items for holds, _ in tests):
                faults.append(_fault(shape, value, path, text))

    return check


def _elements(value: Any) -> Iterable[Any]:
    return list(value)


def _keys(value: Any) -> Iterable[Any]:
    return list(value)


def _values(value: Any) -> Iterable[Any]:
    return list(value.values())


def _is_nested(shape: Shape) -> bool:
    return shape.type_name in {"structure", "list", "map"}


def _check_rules(shape: Shape, rules: tuple[Rule, ...], value: Any, path: str, faults: list[str]) -> None:
    for holds, text in rules:
        if not holds(value):
            faults.append(_fault(shape, value, path, text))


def _missing(path: str) -> str:
    return f"Value null at '{path}' failed to satisfy constraint: Member must not be null"


def _fault(shape: Shape, value: Any, path: str, text: str) -> str:
    shown = "" if shape.is_sensitive else f" '{shown_as(value)}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {text}"


def shown_as(value: Any) -> str:
    """Return a value as Java prints it, cut when it is long."""
    text = _java(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _java(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={_java(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_java, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return "null" if value is None else str(value)
