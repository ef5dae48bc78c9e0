"""Event streams: messages of headers and payload, each with two checksums.

    u32 total length | u32 headers' length | u32 crc of both | headers | payload | u32 crc of all before

Source: AWS developer documentation, Amazon Transcribe, Event stream encoding.
"""

import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import Any
from zlib import crc32

from clary.kernel.errors import AwsError
from clary.wire import rest
from clary.wire.codecs import json
from clary.wire.faults import fault_of
from clary.wire.service import Operation
from clary.wire.shape import Shape
from clary.wire.times import to_epoch

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING, _BYTES, _TIMESTAMP, _LONG, _TRUE, _FALSE = 7, 6, 8, 5, 0, 1


def headers(request_id: str) -> dict[str, str]:
    """Return the headers of an answer that is a stream."""
    return {"content-type": CONTENT_TYPE, "x-amzn-RequestId": request_id}


def whole(operation: Operation, result: Mapping[str, Any]) -> bytes:
    """Return a whole stream; the stream's member of `result` holds the events, each `{name: value}`."""
    return b"".join(frames(operation, result))


def frames(operation: Operation, result: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield a stream message by message, as events come."""
    if operation.service.protocols[0] != "rest-json":
        yield initial(operation, result)
    for item in result.get(operation.output.event_stream or "") or ():
        for name, value in item.items():
            yield event(operation, name, value)


async def stream(
    operation: Operation, result: Mapping[str, Any], events: AsyncIterator[Mapping[str, Any]]
) -> AsyncIterator[bytes]:
    """Yield a stream message by message, as `events` come; an error ends it as its last message."""
    if operation.service.protocols[0] != "rest-json":
        yield initial(operation, result)
    try:
        async for item in events:
            for name, value in item.items():
                yield event(operation, name, value)
    except AwsError as error:
        yield exception(operation, error)


def initial(operation: Operation, result: Mapping[str, Any]) -> bytes:
    """Return the first message of a stream of the json protocol: the members beside the events."""
    beside = {name: value for name, value in result.items() if name != operation.output.event_stream}
    return message(
        {":message-type": "event", ":event-type": "initial-response", ":content-type": "application/json"},
        json.dumps(json.writer(operation.output)(beside)),
    )


def event(operation: Operation, name: str, value: Mapping[str, Any]) -> bytes:
    """Return one event of an operation's stream."""
    shape = operation.output.members[operation.output.event_stream or ""].members[name]
    extra = {
        key: value[key]
        for key, member in shape.members.items()
        if member.is_event_header and value.get(key) is not None
    }
    content_type, payload = _payload(shape, value)
    return message(
        {":message-type": "event", ":event-type": name, ":content-type": content_type, **extra}, payload
    )


def exception(operation: Operation, error: AwsError) -> bytes:
    """Return the message that ends a stream with an error."""
    fault = fault_of(error, "rest_json", operation)
    stream = operation.output.members[operation.output.event_stream or ""]
    if fault.code in stream.members:
        shape = stream.members[fault.code]
        name = next((name for name in shape.members if name.lower() == "message"), "message")
        content = {**json.writer(shape)(fault.members), name: fault.message}
        kind = {
            ":message-type": "exception",
            ":exception-type": fault.code,
            ":content-type": "application/json",
        }
        return message(kind, json.dumps(content))
    return message(
        {":message-type": "error", ":error-code": fault.code, ":error-message": fault.message}, b""
    )


def _payload(shape: Shape, value: Mapping[str, Any]) -> tuple[str, bytes]:
    name = next((name for name, member in shape.members.items() if member.is_event_payload), None)
    if name is None:
        plain = {
            key: item
            for key, item in value.items()
            if key in shape.members and not shape.members[key].is_event_header
        }
        return "application/json", json.dumps(json.writer(shape)(plain))
    member = shape.members[name]
    if member.type_name in {"blob", "string"}:
        kind = "application/octet-stream" if member.type_name == "blob" else "text/plain"
        return kind, rest.as_bytes(value.get(name) or b"")
    return "application/json", json.dumps(json.writer(member)(value.get(name) or {}))


def message(fields: Mapping[str, Any], payload: bytes) -> bytes:
    """Return one message."""
    head = b"".join(_header(name, value) for name, value in fields.items())
    prelude = struct.pack(">II", 12 + len(head) + len(payload) + 4, len(head))
    checked = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return checked + struct.pack(">I", crc32(checked))


def _header(name: str, value: Any) -> bytes:
    key = name.encode()
    start = bytes([len(key)]) + key
    if isinstance(value, bool):
        return start + bytes([_TRUE if value else _FALSE])
    if isinstance(value, int):
        return start + struct.pack(">Bq", _LONG, value)
    if isinstance(value, datetime):
        return start + struct.pack(">Bq", _TIMESTAMP, int(to_epoch(value) * 1000))
    if isinstance(value, bytes):
        return start + struct.pack(">BH", _BYTES, len(value)) + value
    text = str(value).encode()
    return start + struct.pack(">BH", _STRING, len(text)) + text
