"""AWS JSON 1.0 and 1.1: `X-Amz-Target` names the operation, the body is the structure."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from clary.kernel.errors import AwsError
from clary.wire import eventstream
from clary.wire.codecs import json
from clary.wire.faults import Fault, fault_of
from clary.wire.http import Request, Response
from clary.wire.service import Operation


def parse(operation: Operation, request: Request, params: Mapping[str, str]) -> dict[str, Any]:
    """Return the request's members by wire name."""
    parsed: dict[str, Any] = json.reader(operation.input)(json.loads(request.body))
    return parsed


def serialize(operation: Operation, result: Mapping[str, Any], request_id: str) -> Response:
    """Return the answer that says `result`."""
    if operation.output.event_stream is not None:
        head, events = eventstream.headers(request_id), result.get(operation.output.event_stream)
        if isinstance(events, AsyncIterator):
            return Response(headers=head, pieces=eventstream.stream(operation, result, events))
        return Response(headers=head, body=eventstream.whole(operation, result))
    return Response(
        headers={
            "content-type": f"application/x-amz-json-{operation.service.json_version}",
            "x-amzn-RequestId": request_id,
        },
        body=json.dumps(json.writer(operation.output)(result)),
    )


def serialize_error(error: AwsError, operation: Operation | None, request_id: str) -> Response:
    """Return the answer that says `error`."""
    fault = fault_of(error, "json", operation)
    version = operation.service.json_version if operation else "1.1"
    headers = {
        "content-type": f"application/x-amz-json-{version}",
        "x-amzn-RequestId": request_id,
        "x-amzn-ErrorType": fault.code,
    }
    if operation and operation.service.is_query_compatible:
        code = fault.shape.error_code if fault.shape else fault.code
        headers["x-amzn-query-error"] = f"{code};{'Sender' if fault.status < 500 else 'Receiver'}"
    return Response(fault.status, headers, json.dumps({"__type": fault.code, **members_of(fault)}))


def members_of(fault: Fault) -> dict[str, Any]:
    """Return the members of an error's body; its text under the name that the shape has for it."""
    shape = fault.shape
    if shape is None:
        return {"message": fault.message}
    name = next((name for name in shape.members if name.lower() == "message"), "message")
    written: dict[str, Any] = json.writer(shape)(fault.members)
    written[name] = fault.message
    return written
