"""Requests and answers made from shapes of the service model, for sweeps over every operation."""

import copy
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from clary.testing.texts import invalid_texts, valid_text
from clary.wire.codecs.misfit import member_name
from clary.wire.shape import Shape

MAX_DEPTH = 12
"""How deep optional members are filled in."""
_NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
_NESTED = frozenset({"structure", "list", "map"})
_WRONG: dict[str, Any] = {
    "string": ["no text"],
    "boolean": "no",
    "list": "no list",
    "map": 7,
    "structure": "none",
}


def minimal(shape: Shape, rng: random.Random | None = None) -> Any:
    """Return the least valid value of `shape`: required members only."""
    return _Maker(rng or random.Random(0), is_full=False).make(shape)  # noqa: S311 - test data


def maximal(shape: Shape, rng: random.Random | None = None) -> Any:
    """Return a valid value of `shape` with every member; shapes within themselves are entered once."""
    return _Maker(rng or random.Random(0), is_full=True).make(shape)  # noqa: S311 - test data


class _Maker:
    def __init__(self, rng: random.Random, *, is_full: bool) -> None:
        self._rng = rng
        self._is_full = is_full
        self._around: list[str] = []

    def make(self, shape: Shape) -> Any:
        if shape.is_document:
            return {"any": ["JSON", 1, True]}
        if shape.type_name not in _NESTED:
            return scalar(shape, self._rng)
        self._around.append(shape.name)
        try:
            if shape.type_name == "structure":
                return self._structure(shape)
            n = self._count(shape)
            if shape.type_name == "list":
                return [self.make(shape.element) for _ in range(n)]
            return self._map(shape, n)
        finally:
            self._around.pop()

    def _structure(self, shape: Shape) -> dict[str, Any]:
        members = {name: member for name, member in shape.members.items() if not member.is_event_stream}
        if shape.is_union:
            able = [name for name in members if not self._is_within_itself(members[name])] or list(members)
            name = self._rng.choice(able) if self._is_full else able[0]
            return {name: self.make(members[name])}
        return {
            name: self.make(member)
            for name, member in members.items()
            if name in shape.required or (self._is_full and not self._is_within_itself(member))
        }

    def _map(self, shape: Shape, n: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(n * 20):
            if len(found) < n:
                found[scalar(shape.key, self._rng)] = self.make(shape.value)
        return found

    def _count(self, shape: Shape) -> int:
        low, high = int(shape.min or 0), shape.max
        inner = shape.element if shape.type_name == "list" else shape.value
        wanted = 2 if self._is_full and not self._is_within_itself(inner) else 0
        return max(low, wanted if high is None else min(wanted, int(high)))

    def _is_within_itself(self, shape: Shape) -> bool:
        return shape.name in self._around or len(self._around) >= MAX_DEPTH


def scalar(shape: Shape, rng: random.Random) -> Any:
    """Return a valid value of a scalar `shape`."""
    kind = shape.type_name
    if kind in {"string", "character"}:
        return valid_text(shape, rng)
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "timestamp":
        step = timedelta(seconds=1) if shape.location else timedelta(milliseconds=1)
        return _NOON + step * rng.randrange(10**7)
    if kind == "blob":
        low, high = int(shape.min or 0), shape.max
        return rng.randbytes(max(low, 6 if high is None else min(6, int(high))))
    low_value, high_value = _bounds(shape)
    if kind in {"integer", "long"}:
        return rng.randint(int(low_value), int(high_value))
    return rng.choice((low_value, high_value, low_value + (high_value - low_value) * 0.25))


def _bounds(shape: Shape) -> tuple[float, float]:
    low, high = shape.min, shape.max
    if low is None:
        low = 0 if high is None or high > 0 else high - 100
    if high is None:
        high = low + 100
    return low, high


Invalid = tuple[Any, str, str]
"""A whole value, the path of what is wrong in it as error texts spell it, and why it is wrong."""


def invalid(shape: Shape, rng: random.Random) -> Iterator[Invalid]:
    """Yield values of a structure, each with one thing wrong.

    Yields
    ------
    tuple
        The value; the path of its bad member (`tags.1.member.key`; scalars in lists and maps have the path of
        the list or map, unless they are of the wrong type); why: `missing`, `type`, `enum`, `pattern`,
        `too long`, `too short`, `too small`, `too large`.
    """
    whole = maximal(shape, rng)
    for path, why, change in _faults(shape, whole, "", rng):
        broken = copy.deepcopy(whole)
        change(broken)
        yield broken, path, why


Change = Callable[[Any], None]
_Found = tuple[str, str, Change]


def _faults(shape: Shape, value: Any, path: str, rng: random.Random) -> Iterator[_Found]:
    """Yield what can be broken inside a structure."""
    for name in shape.required:
        yield _joined(path, member_name(name)), "missing", _deleted(name)
    for name, item in value.items():
        member = shape.members[name]
        where = _joined(path, member_name(name))
        for inner, why, change in _broken(member, item, where, rng):
            yield inner, why, _replaced(name, change)


def _broken(shape: Shape, value: Any, path: str, rng: random.Random) -> Iterator[tuple[str, str, Any]]:
    """Yield what can take the place of `value`: a new value, or a function that breaks the old one."""
    if shape.is_document or shape.type_name in {"blob", "timestamp"}:
        return
    yield path, "type", _Value(_WRONG.get(shape.type_name, "no number"))
    if shape.type_name == "string":
        for text, why in invalid_texts(shape, rng):
            yield path, why, _Value(text)
    elif shape.type_name in {"list", "map"}:
        yield from _broken_collection(shape, value, path, rng)
    elif shape.type_name == "structure":
        yield from _faults(shape, value, path, rng)
    elif shape.type_name != "boolean":
        if shape.max is not None and shape.max < 2**31 - 1:
            yield path, "too large", _Value(int(shape.max) + 1)
        if shape.min is not None and shape.min > -(2**31):
            yield path, "too small", _Value(int(shape.min) - 1)


def _broken_collection(
    shape: Shape, value: Any, path: str, rng: random.Random
) -> Iterator[tuple[str, str, Any]]:
    if shape.min:
        yield path, "too short", _Value([] if shape.type_name == "list" else {})
    if shape.type_name == "map":
        return
    if shape.max is not None and shape.max <= 200 and value:
        yield path, "too long", _Value([copy.deepcopy(value[0]) for _ in range(int(shape.max) + 1)])
    is_nested = shape.element.type_name in _NESTED
    if value:
        for inner, why, change in _broken(shape.element, value[0], f"{path}.1.member", rng):
            where = inner if is_nested or why == "type" else path
            yield where, why, _replaced(0, change)


class _Value:
    """A value to stand in the place of another."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _deleted(name: str) -> Change:
    def change(value: Any) -> None:
        value.pop(name, None)

    return change


def _replaced(key: Any, new: Any) -> Change:
    def change(value: Any) -> None:
        if isinstance(new, _Value):
            value[key] = new.value
        else:
            new(value[key])

    return change
