"""JSONPath, as far as batch transform's filters have it: names, indexes, slices, wildcards.

    $   $.features   $[1:]   $[0,5:]   $['id','SageMakerOutput']   $.field.['a','b']   $.id.*

Source
------
Developer guide, "Associate Prediction Results with Input Records", supported JSONPath operators.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"\.([A-Za-z_\u0080-\uffff][\w\-\u0080-\uffff]*)")
_QUOTED = re.compile(r"""\s*(?:'([^']*)'|"([^"]*)")\s*""")
_PLACE = re.compile(r"\s*(-?\d+)?\s*(?:(:)\s*(-?\d+)?)?\s*")


class PathError(ValueError):
    """The expression is none that transforms know, or a record does not have what it selects."""


@dataclass(frozen=True, slots=True)
class Names:
    """Members of an object, by name; empty means all of them."""

    names: tuple[str, ...]
    is_several: bool = False

    def select(self, value: Any) -> Any:
        """Return the member, or an object of the members that were asked for."""
        if not self.names:
            return list(value.values()) if isinstance(value, dict) else _array(value, "*")
        if not isinstance(value, dict):
            raise PathError(f"{self.names[0]!r} is asked of {_kind(value)}, which has no names")
        for name in self.names:
            if name not in value:
                raise PathError(f"there is no {name!r} among {', '.join(map(repr, value)) or 'no names'}")
        if self.is_several:
            return {name: value[name] for name in self.names}
        return value[self.names[0]]


@dataclass(frozen=True, slots=True)
class Places:
    """Elements of an array, by index and slice."""

    places: tuple[int | tuple[int | None, int | None], ...]

    @property
    def is_single(self) -> bool:
        """One index: its element itself is meant, not an array of it."""
        return len(self.places) == 1 and isinstance(self.places[0], int)

    def columns(self, n: int) -> list[int]:
        """Return the indexes that are selected of `n` elements, in the order asked for.

        Raises
        ------
        PathError
            An index is not within the `n`.
        """
        chosen: list[int] = []
        for place in self.places:
            if isinstance(place, tuple):
                chosen += range(n)[slice(*place)]
            elif -n <= place < n:
                chosen.append(place % n)
            else:
                raise PathError(f"index {place} is not within the {n} elements of the record")
        return chosen

    def select(self, value: Any) -> Any:
        """Return the element, or an array of those that were asked for."""
        array = _array(value, "an index")
        found = [array[index] for index in self.columns(len(array))]
        return found[0] if self.is_single else found


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed expression."""

    text: str
    steps: tuple[Names | Places, ...]

    @property
    def is_whole(self) -> bool:
        """Everything is selected: `$`."""
        return not self.steps

    @property
    def is_of_columns(self) -> bool:
        """It can be asked of a row of CSV: nothing but one choice of indexes."""
        if self.is_whole:
            return True
        return len(self.steps) == 1 and (isinstance(self.steps[0], Places) or not self.steps[0].names)

    def select(self, value: Any) -> Any:
        """Return what the expression selects of a JSON value.

        Raises
        ------
        PathError
            The value does not have it.
        """
        for step in self.steps:
            value = step.select(value)
        return value

    def columns(self, n: int) -> list[int]:
        """Return the columns that are selected of a row of `n`.

        Raises
        ------
        PathError
            An index is not within the `n`, or names are asked for.
        """
        step = self.steps[0] if self.steps else Names(())
        if not self.is_of_columns:
            raise PathError(f"{self.text} cannot be asked of CSV, whose columns have indexes only")
        return step.columns(n) if isinstance(step, Places) else list(range(n))


def parse(text: str | None) -> Path:
    """Parse an expression; nothing at all means `$`.

    Raises
    ------
    PathError
        It is none; the text says where.
    """
    text = (text or "$").strip()
    if not text.startswith("$"):
        raise PathError(f"{text!r} does not begin with $, the root")
    steps: list[Names | Places] = []
    at = 1
    while at < len(text):
        step, at = _step(text, at)
        steps.append(step)
    return Path(text, tuple(steps))


def _step(text: str, at: int) -> tuple[Names | Places, int]:
    if text.startswith(".*", at):
        return Names(()), at + 2
    if found := _NAME.match(text, at):
        return Names((found[1],)), found.end()
    if text.startswith(".[", at):
        at += 1
    end = _closing(text, at) if text.startswith("[", at) else -1
    if end < 0:
        raise PathError(f"{text!r} is not understood from {text[at:]!r} on")
    inside = text[at + 1 : end]
    if inside.strip() == "*":
        return Names(()), end + 1
    is_named = inside.lstrip()[:1] in {"'", '"'}
    return (_names(text, inside) if is_named else _places(text, inside)), end + 1


def _closing(text: str, at: int) -> int:
    quote = ""
    for index in range(at + 1, len(text)):
        letter = text[index]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in {"'", '"'}:
            quote = letter
        elif letter == "]":
            return index
    return -1


def _names(text: str, inside: str) -> Names:
    names: list[str] = []
    at = 0
    while True:
        found = _QUOTED.match(inside, at)
        if found is None:
            raise PathError(f"{text!r} has no quoted name where {inside[at:]!r} begins")
        names.append(found[1] if found[1] is not None else found[2])
        at = found.end()
        if at == len(inside):
            return Names(tuple(names), is_several=len(names) > 1)
        if inside[at] != ",":
            raise PathError(f"{text!r} has no comma where {inside[at:]!r} begins")
        at += 1


def _places(text: str, inside: str) -> Places:
    places: list[int | tuple[int | None, int | None]] = []
    for part in inside.split(","):
        found = _PLACE.fullmatch(part)
        if found is None or not part.strip():
            raise PathError(f"{text!r} has {part!r}, which is no index, slice or quoted name")
        first = int(found[1]) if found[1] else None
        if found[2]:
            places.append((first, int(found[3]) if found[3] else None))
        else:
            assert first is not None
            places.append(first)
    return Places(tuple(places))


def _array(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise PathError(f"{what} is asked of {_kind(value)}, which is no array")
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
