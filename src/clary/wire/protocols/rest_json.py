"""rest-json: the operation is a method and a path; members travel in path, query, headers and a JSON body."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from clary.kernel.errors import AwsError
from clary.wire import eventstream, rest
from clary.wire.codecs import json
from clary.wire.codecs.misfit import Misfit, member_name
from clary.wire.faults import fault_of
from clary.wire.http import Request, Response
from clary.wire.protocols.json import members_of
from clary.wire.service import Operation
from clary.wire.shape import Shape

_STREAMS = frozenset({"blob", "string"})


def parse(operation: Operation, request: Request, params: Mapping[str, str]) -> dict[str, Any]:
    """Return the request's members by wire name."""
    shape = operation.input
    found = rest.read(shape, request, params)
    if shape.payload is not None:
        if request.body or shape.payload in shape.required:
            found.update(_read_payload(shape.payload, shape.members[shape.payload], request.body))
    elif rest.plan(shape).body:
        # the labels of the path win over members of the same name in the body
        found = json.reader(shape)(json.loads(request.body)) | found
    return found


def _read_payload(name: str, shape: Shape, body: bytes) -> dict[str, Any]:
    if shape.type_name == "blob":
        return {name: body}
    if shape.type_name == "string":
        return {name: body.decode(errors="replace")}
    try:
        return {name: json.reader(shape)(json.loads(body))}
    except Misfit as misfit:
        raise misfit.within(member_name(name)) from None


@cache
def _body(shape: Shape) -> frozenset[str]:
    return frozenset(rest.plan(shape).body)


def serialize(operation: Operation, result: Mapping[str, Any], request_id: str) -> Response:
    """Return the answer that says `result`."""
    shape = operation.output
    located, status = rest.write(shape, result)
    headers = {"x-amzn-RequestId": request_id, **located}
    payload = shape.members[shape.payload] if shape.payload is not None else None
    if payload is not None and payload.is_event_stream:
        headers.update(eventstream.headers(request_id))
        body = eventstream.whole(operation, result)
    elif payload is not None and payload.type_name in _STREAMS:
        body = rest.as_bytes(result.get(str(shape.payload)) or b"")
        if body and "content-type" not in {name.lower() for name in headers}:
            headers["content-type"] = (
                "application/octet-stream" if payload.type_name == "blob" else "text/plain"
            )
    elif payload is not None:
        body = json.dumps(json.writer(payload)(result.get(str(shape.payload)) or {}))
        headers["content-type"] = "application/json"
    else:
        kept = _body(shape)
        body = json.dumps(json.writer(shape)({name: value for name, value in result.items() if name in kept}))
        headers["content-type"] = "application/json"
    return Response(status or operation.status, headers, body)


def serialize_error(error: AwsError, operation: Operation | None, request_id: str) -> Response:
    """Return the answer that says `error`."""
    fault = fault_of(error, "rest_json", operation)
    headers = {
        "content-type": "application/json",
        "x-amzn-RequestId": request_id,
        "x-amzn-ErrorType": fault.code,
    }
    return Response(fault.status, headers, json.dumps(members_of(fault)))
