"""Values as JSON, for the json and rest-json protocols.

A reader turns parsed JSON into what handlers take: wire names of the model, aware datetimes, bytes; members
that the model does not know are dropped, null is absence. A writer does the reverse and keeps only what its
shape knows.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from clary.wire.codecs.misfit import Misfit, kind_of, member_name
from clary.wire.shape import Shape
from clary.wire.times import FORMATS, as_datetime, to_epoch

Reader = Callable[[Any], Any]
Writer = Callable[[Any], Any]

_NAMED_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def loads(body: bytes) -> Any:
    """Parse a request's body; an empty one is an empty structure.

    Raises
    ------
    Misfit
        It is not JSON, or it lies too deep.
    """
    if not body:
        return {}
    try:
        return json.loads(body)
    except RecursionError:
        raise Misfit("JSON", "nested too deep") from None
    except ValueError as error:
        raise Misfit("JSON", f"not: {error}") from None


def dumps(value: Any) -> bytes:
    """Write JSON; what JSON does not know is written as its text."""
    return _ENCODE(value).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_epoch(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return list(value) if isinstance(value, set | frozenset) else str(value)


_ENCODE = json.JSONEncoder(default=_plain, separators=(",", ":")).encode


# Reading.


@cache
def reader(shape: Shape) -> Reader:
    """Return a function that reads parsed JSON as `shape`; it raises `Misfit`."""
    if shape.is_document:
        return lambda value: value
    if shape.type_name == "structure":
        return _structure_reader(shape)
    if shape.type_name == "list":
        return _list_reader(shape)
    if shape.type_name == "map":
        return _map_reader(shape)
    return _READERS[shape.type_name]


def _structure_reader(shape: Shape) -> Reader:
    known: dict[str, tuple[str, Reader]] | None = None

    def read(value: Any) -> dict[str, Any]:
        nonlocal known
        if type(value) is not dict:
            raise Misfit("a structure", kind_of(value))
        table = known
        if table is None:  # filled late, for a shape may contain itself; in one step, for there are threads
            table = known = {
                member.wire_name or name: (name, reader(member)) for name, member in shape.members.items()
            }
        found = {}
        for key, item in value.items():
            if item is not None and key in table:
                name, read_member = table[key]
                try:
                    found[name] = read_member(item)
                except Misfit as misfit:
                    raise misfit.within(member_name(name)) from None
        return found

    return read


def _list_reader(shape: Shape) -> Reader:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Misfit("a list", kind_of(value))
        read_element = reader(shape.element)
        found = []
        try:
            for item in value:
                found.append(None if item is None else read_element(item))  # noqa: PERF401 - the count is needed
        except Misfit as misfit:
            raise misfit.within("member").within(str(len(found) + 1)) from None
        return found

    return read


def _map_reader(shape: Shape) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Misfit("a map", kind_of(value))
        read_value = reader(shape.value)
        found = {}
        for key, item in value.items():
            if item is not None:
                try:
                    found[_read_string(key)] = read_value(item)
                except Misfit as misfit:
                    raise misfit.within("member").within(key) from None
        return found

    return read


def _read_string(value: Any) -> str:
    if type(value) is not str:
        raise Misfit("a string", kind_of(value))
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Misfit("a string of Unicode", "half a surrogate pair") from None
    return value


def _integer_reader(bits: int) -> Reader:
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def read(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise Misfit(
                "a whole number", f"the number {value!r}" if type(value) is float else kind_of(value)
            )
        if not least <= value <= most:
            raise Misfit(f"a whole number of {bits} bits", "out of range")
        return value

    return read


def _read_float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise Misfit("a number", "too large a number") from None
    if type(value) is str and value in _NAMED_FLOATS:
        return _NAMED_FLOATS[value]
    raise Misfit("a number", kind_of(value))


def _read_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise Misfit("a boolean", kind_of(value))
    return value


def _read_blob(value: Any) -> bytes:
    if type(value) is not str:
        raise Misfit("a string in base64", kind_of(value))
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Misfit("a string in base64", "another string") from None


def _read_timestamp(value: Any) -> datetime:
    try:
        return as_datetime(value)
    except ValueError as error:
        is_other = isinstance(value, bool | list | dict)
        raise Misfit("a timestamp", kind_of(value) if is_other else f"not: {error}") from None


_READERS: dict[str, Reader] = {
    "string": _read_string,
    "character": _read_string,
    "integer": _integer_reader(32),
    "long": _integer_reader(64),
    "float": _read_float,
    "double": _read_float,
    "boolean": _read_boolean,
    "blob": _read_blob,
    "timestamp": _read_timestamp,
}


# Writing.

_PLAIN = {"string": str, "integer": int, "long": int, "boolean": bool}
"""Python's types that are JSON's as they are; asked first, for a call costs more than the rest."""


@cache
def writer(shape: Shape) -> Writer:
    """Return a function that turns a value of `shape` into what `dumps` takes."""
    if shape.is_document:
        return lambda value: value
    if shape.type_name == "structure":
        return _structure_writer(shape)
    if shape.type_name == "list":
        return _list_writer(shape)
    if shape.type_name == "map":
        return _map_writer(shape)
    if shape.type_name == "timestamp":
        return FORMATS[(shape.timestamp_format or "unixTimestamp").lower()]
    return _WRITERS[shape.type_name]


def _structure_writer(shape: Shape) -> Writer:
    known: dict[str, tuple[str, type | None, Writer]] | None = None

    def write(value: Any) -> dict[str, Any]:
        nonlocal known
        table = known
        if table is None:
            table = known = {
                name: (member.wire_name or name, _PLAIN.get(member.type_name), writer(member))
                for name, member in shape.members.items()
            }
        written = {}
        for name, item in value.items():
            if item is not None and name in table:
                key, plain, write_member = table[name]
                written[key] = item if type(item) is plain else write_member(item)
        return written

    return write


def _list_writer(shape: Shape) -> Writer:
    def write(value: Any) -> list[Any]:
        write_element = writer(shape.element)
        return [None if item is None else write_element(item) for item in value]

    return write


def _map_writer(shape: Shape) -> Writer:
    def write(value: Any) -> dict[str, Any]:
        write_value = writer(shape.value)
        return {str(key): write_value(item) for key, item in value.items() if item is not None}

    return write


def _write_string(value: Any) -> str:
    return value if type(value) is str else str(value)


def _write_float(value: Any) -> Any:
    if value != value:  # noqa: PLR0124 - the one value that is not itself
        return "NaN"
    if value in (math.inf, -math.inf):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _write_blob(value: Any) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def _same(value: Any) -> Any:
    return value


_WRITERS: dict[str, Writer] = {
    "string": _write_string,
    "character": _write_string,
    "integer": _same,
    "long": _same,
    "float": _write_float,
    "double": _write_float,
    "boolean": _same,
    "blob": _write_blob,
}
