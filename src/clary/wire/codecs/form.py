"""Values as a form, for the requests of the query protocol: `Tags.member.1.Key=a&Tags.member.1.Value=b`."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from clary.wire.codecs import text
from clary.wire.codecs.misfit import Misfit, member_name
from clary.wire.shape import Shape

MAX_DEPTH = 64
"""Most dots in a key."""
_SELF = ""
"""Key of a branch's own value: `Tags=` beside `Tags.member.1=`."""

Branch = dict[str, Any]
Reader = Callable[[Branch], Any]


def tree(pairs: Iterable[tuple[str, str]]) -> Branch:
    """Return keys with dots as nested branches.

    Raises
    ------
    Misfit
        A key has too many dots.
    """
    root: Branch = {}
    for key, value in pairs:
        parts = key.split(".")
        if len(parts) > MAX_DEPTH:
            raise Misfit("a form", "nested too deep")
        branch = root
        for part in parts:
            branch = branch.setdefault(part, {})
        branch[_SELF] = value
    return root


@cache
def reader(shape: Shape) -> Reader:
    """Return a function that reads a branch as `shape`; it raises `Misfit`."""
    if shape.type_name == "structure":
        return _structure_reader(shape)
    if shape.type_name == "list":
        return _list_reader(shape)
    if shape.type_name == "map":
        return _map_reader(shape)
    read = text.reader(shape)

    def scalar(branch: Branch) -> Any:
        if _SELF not in branch:
            raise Misfit("a single value", "a structure, list or map")
        return read(branch[_SELF])

    return scalar


def _structure_reader(shape: Shape) -> Reader:
    def read(branch: Branch) -> dict[str, Any]:
        found = {}
        for name, member in shape.members.items():
            key = member.wire_name or name
            if member.type_name == "list" and member.is_flattened and member.element.wire_name:
                key = member.element.wire_name
            if key in branch:
                try:
                    found[name] = reader(member)(branch[key])
                except Misfit as misfit:
                    raise misfit.within(member_name(name)) from None
        return found

    return read


def _list_reader(shape: Shape) -> Reader:
    def read(branch: Branch) -> list[Any]:
        items = branch if shape.is_flattened else branch.get(shape.element.wire_name or "member", {})
        read_element = reader(shape.element)
        found = []
        for number in _numbers(items):
            try:
                found.append(read_element(items[str(number)]))
            except Misfit as misfit:
                raise misfit.within("member").within(str(number)) from None
        return found

    return read


def _map_reader(shape: Shape) -> Reader:
    key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"

    def read(branch: Branch) -> dict[str, Any]:
        entries = branch if shape.is_flattened else branch.get("entry", {})
        found = {}
        for number in _numbers(entries):
            entry = entries[str(number)]
            try:
                key = reader(shape.key)(entry.get(key_name, {}))
                found[key] = reader(shape.value)(entry.get(value_name, {}))
            except Misfit as misfit:
                raise misfit.within("entry").within(str(number)) from None
        return found

    return read


def _numbers(branch: Branch) -> list[int]:
    return sorted(
        int(part) for part in branch if part.isascii() and part.isdigit() and str(int(part)) == part
    )
