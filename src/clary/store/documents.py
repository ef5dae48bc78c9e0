"""Documents as JSON text, without loss.

What JSON cannot say becomes an object of one marked member:

    datetime (aware)             {"$time": "2026-01-31T12:00:00.000000Z"}
    nan, inf, -inf               {"$float": "nan"}
    bytes                        {"$bytes": "<base64>"}
    text with NUL or surrogates  {"$text": "<escaped>"}
    {"$time": …} of the user's   {"$$time": …}   (one dollar more, for each of the four)
"""

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from clary.store import times

_ODD_TEXT = re.compile("[\x00\ud800-\udfff]")
_MARKER = re.compile(r"\$+(time|float|bytes|text)")


def dumps(document: Any) -> str:
    """Return `document` as JSON text.

    Raises
    ------
    ValueError
        A datetime without a time zone.
    TypeError
        A value that is neither JSON, datetime nor bytes, or a member name that is not plain text.
    """
    return json.dumps(_encode(document), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def loads(text: str | bytes) -> Any:
    """Read what `dumps` wrote."""
    if isinstance(text, bytes):
        text = text.decode()
    return json.loads(text, object_hook=_decode) if '"$' in text else json.loads(text)


def _encode(value: Any) -> Any:  # noqa: PLR0911 - one return for each kind of value
    match value:
        case str():
            return {"$text": json.dumps(value)[1:-1]} if _ODD_TEXT.search(value) else value
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else {"$float": str(value)}
        case Mapping():
            members = {_name(key): _encode(each) for key, each in value.items()}
            if len(members) == 1 and _MARKER.fullmatch(only := next(iter(members))):
                return {f"${only}": members[only]}
            return members
        case list() | tuple():
            return [_encode(each) for each in value]
        case datetime():
            return {"$time": times.to_text(value)}
        case bytes() | bytearray() | memoryview():
            return {"$bytes": base64.b64encode(value).decode()}
        case _:
            raise TypeError(f"a document cannot hold a {type(value).__name__}: {value!r}")


def _name(key: object) -> str:
    if not isinstance(key, str) or _ODD_TEXT.search(key):
        raise TypeError(f"a document's member names must be plain text, not {key!r}")
    return key


def _decode(members: dict[str, Any]) -> Any:
    if len(members) != 1:
        return members
    ((name, value),) = members.items()
    match name:
        case "$time":
            return times.from_text(value)
        case "$float":
            return float(value)
        case "$bytes":
            return base64.b64decode(value)
        case "$text":
            return json.loads(f'"{value}"')
        case _:
            return {name[1:]: value} if _MARKER.fullmatch(name) else members
