"""What the rest protocols share: members in paths, query strings, headers and payloads."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from clary.wire.codecs import json, text
from clary.wire.codecs.misfit import Misfit, member_name
from clary.wire.http import Request
from clary.wire.shape import Shape


@dataclass
class Plan:
    """The members of a structure by where they travel."""

    located: list[tuple[str, str, Shape]] = field(default_factory=list)
    """Name, name on the wire, shape of those outside the body."""
    body: list[str] = field(default_factory=list)
    """Those of the body."""


@cache
def plan(shape: Shape) -> Plan:
    """Return where the members of `shape` travel."""
    found = Plan()
    for name, member in shape.members.items():
        if member.location:
            found.located.append((name, member.wire_name or name, member))
        else:
            found.body.append(name)
    return found


def read(shape: Shape, request: Request, params: Mapping[str, str]) -> dict[str, Any]:
    """Return the members of a request that travel outside its body."""
    found: dict[str, Any] = {}
    pairs = parse_qsl(request.query, keep_blank_values=True) if request.query else []
    query: dict[str, list[str]] = {}
    for key, value in pairs:
        query.setdefault(key, []).append(value)
    named = {wire for _, wire, member in plan(shape).located if member.location == "querystring"}
    for name, wire, member in plan(shape).located:
        try:
            if member.location == "uri" and wire in params:
                found[name] = text.reader(member)(params[wire])
            elif member.location == "header" and wire.lower() in request.headers:
                found[name] = _read_header(member, request.headers[wire.lower()])
            elif member.location == "headers":
                found[name] = _prefixed(wire.lower(), request.headers)
            elif member.location == "querystring" and member.type_name == "map":
                found[name] = _read_rest_of_query(member, query, named)
            elif member.location == "querystring" and wire in query:
                found[name] = _read_parameter(member, query[wire])
        except Misfit as misfit:
            raise misfit.within(member_name(name)) from None
    return found


def write(shape: Shape, result: Mapping[str, Any]) -> tuple[dict[str, str], int | None]:
    """Return the headers of an answer, and its status where a member is it."""
    headers: dict[str, str] = {}
    status = None
    for name, wire, member in plan(shape).located:
        value = result.get(name)
        if value is None:
            continue
        if member.location == "statusCode":
            status = int(value)
        elif member.location == "header":
            headers[wire] = one_line(_write_header(member, value))
        elif member.location == "headers":
            headers.update({f"{wire}{key}": one_line(str(item)) for key, item in value.items()})
    return headers, status


def one_line(value: str) -> str:
    """Return a header's value without line ends, which would begin another header."""
    return value.replace("\r", " ").replace("\n", " ")


def as_bytes(value: Any) -> bytes:
    """Return a payload's value as the body: bytes, text, or pieces of them."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    if hasattr(value, "read"):
        return as_bytes(value.read())
    if isinstance(value, Iterable):
        return b"".join(as_bytes(piece) for piece in value)
    raise TypeError(f"a payload must be bytes or text, not {type(value).__name__}")


def _prefixed(prefix: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {name[len(prefix) :]: value for name, value in headers.items() if name.startswith(prefix)}


def _read_parameter(shape: Shape, values: list[str]) -> Any:
    if shape.type_name == "list":
        return [text.reader(shape.element)(value) for value in values]
    return text.reader(shape)(values[-1])


def _read_rest_of_query(shape: Shape, query: Mapping[str, list[str]], named: set[str]) -> dict[str, Any]:
    return {key: _read_parameter(shape.value, values) for key, values in query.items() if key not in named}


def _read_header(shape: Shape, value: str) -> Any:
    if shape.type_name == "list":
        return [text.reader(shape.element)(item) for item in _split(value)]
    if shape.is_json_value:
        try:
            return json.loads(base64.b64decode(value, validate=True))
        except binascii.Error:
            raise Misfit("JSON in base64", "another text") from None
    return text.reader(shape)(value)


def _write_header(shape: Shape, value: Any) -> str:
    if shape.type_name == "list":
        return ",".join(_quoted(_write_header(shape.element, item)) for item in value)
    if shape.is_json_value:
        return base64.b64encode(json.dumps(value)).decode()
    return text.writer(shape, "rfc822")(value)


def _quoted(value: str) -> str:
    if "," in value or '"' in value:
        escaped = value.replace('"', '\\"')
        return f'"{escaped}"'
    return value


def _split(value: str) -> list[str]:
    """Return the items of a header that is a list; those in double quotes may hold commas."""
    items, current, is_quoted, is_escaped = [], "", False, False
    for char in value:
        if is_escaped:
            current, is_escaped = current + char, False
        elif is_quoted and char == "\\":
            is_escaped = True
        elif char == '"':
            is_quoted = not is_quoted
        elif char == "," and not is_quoted:
            items.append(current.strip())
            current = ""
        else:
            current += char
    return [*items, current.strip()]
