"""Scalars as text: in forms, XML, headers, query strings and paths."""

import base64
import binascii
from collections.abc import Callable
from functools import cache
from typing import Any

from clary.wire.codecs.json import reader as json_reader
from clary.wire.codecs.misfit import Misfit
from clary.wire.shape import Shape
from clary.wire.times import FORMATS, as_datetime

_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


@cache
def reader(shape: Shape) -> Callable[[str], Any]:
    """Return a function that reads text as a scalar `shape`; it raises `Misfit`."""
    kind = shape.type_name
    if kind in {"integer", "long"}:
        return _number_reader(int, json_reader(shape))
    return _READERS.get(kind, json_reader(shape))


@cache
def writer(shape: Shape, timestamp_format: str = "iso8601") -> Callable[[Any], str]:
    """Return a function that writes a scalar of `shape`; its own timestamp format wins over the given."""
    kind = shape.type_name
    if kind == "timestamp":
        write = FORMATS[(shape.timestamp_format or timestamp_format).lower()]
        return lambda value: str(write(value))
    return _WRITERS.get(kind, str)


def _number_reader(parse: Callable[[str], Any], check: Callable[[Any], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            number = parse(text)
        except ValueError:
            raise Misfit("a whole number", "another text") from None
        return check(number)

    return read


def _read_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Misfit("a number", "another text") from None


def _read_boolean(text: str) -> bool:
    found = _BOOLEANS.get(text.lower())
    if found is None:
        raise Misfit("true or false", "another text")
    return found


def _read_blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Misfit("base64", "another text") from None


def _read_timestamp(text: str) -> Any:
    try:
        return as_datetime(text)
    except ValueError as error:
        raise Misfit("a timestamp", f"not: {error}") from None


def _write_boolean(value: Any) -> str:
    return "true" if value else "false"


def _write_float(value: Any) -> str:
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return "NaN" if value != value else repr(float(value))  # noqa: PLR0124 - the one value that is not itself


def _write_blob(value: Any) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


_READERS: dict[str, Callable[[str], Any]] = {
    "float": _read_float,
    "double": _read_float,
    "boolean": _read_boolean,
    "blob": _read_blob,
    "timestamp": _read_timestamp,
}
_WRITERS: dict[str, Callable[[Any], str]] = {
    "boolean": _write_boolean,
    "float": _write_float,
    "double": _write_float,
    "blob": _write_blob,
}
