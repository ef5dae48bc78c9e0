"""rest-xml, as S3 speaks it: members travel in path, query, headers and an XML body."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import AwsError
from clary.wire import rest
from clary.wire.codecs import xml
from clary.wire.codecs.misfit import Misfit, member_name
from clary.wire.faults import fault_of
from clary.wire.http import Request, Response
from clary.wire.service import Operation
from clary.wire.shape import Shape

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_ROOTS: Mapping[str, str] = {"ListBuckets": "ListAllMyBucketsResult", "ListObjects": "ListBucketResult"}
"""Root elements that are called otherwise than their shape. Source: Amazon S3 API reference."""
_BARE: Mapping[str, str] = {"GetBucketLocation": "LocationConstraint"}
"""Operations whose root element is this member itself, and holds its text. Source: the same."""
_STREAMS = frozenset({"blob", "string"})


def parse(operation: Operation, request: Request, params: Mapping[str, str]) -> dict[str, Any]:
    """Return the request's members by wire name."""
    shape = operation.input
    found = rest.read(shape, request, params)
    if shape.payload is not None:
        if request.body or shape.payload in shape.required:
            found.update(_read_payload(shape.payload, shape.members[shape.payload], request.body))
    elif rest.plan(shape).body and request.body:
        found = xml.reader(shape)(xml.parse(request.body)) | found
    return found


def _read_payload(name: str, shape: Shape, body: bytes) -> dict[str, Any]:
    if shape.type_name == "blob":
        return {name: body}
    if shape.type_name == "string":
        return {name: body.decode(errors="replace")}
    try:
        return {name: xml.reader(shape)(xml.parse(body))}
    except Misfit as misfit:
        raise misfit.within(member_name(name)) from None


def serialize(operation: Operation, result: Mapping[str, Any], request_id: str) -> Response:
    """Return the answer that says `result`."""
    shape = operation.output
    located, status = rest.write(shape, result)
    headers = {"x-amz-request-id": request_id, **located}
    payload = shape.members[shape.payload] if shape.payload is not None else None
    body = b""
    if payload is not None and payload.type_name in _STREAMS:
        body = rest.as_bytes(result.get(str(shape.payload)) or b"")
    elif payload is not None:
        value = result.get(str(shape.payload))
        if value is not None:
            body = _document(payload.wire_name or payload.name, payload, value)
    elif operation.name in _BARE:
        member = _BARE[operation.name]
        text = xml.escape(str(result.get(member) or ""))
        body = f'{_DECLARATION}<{member} xmlns="{NAMESPACE}">{text}</{member}>'.encode()
    elif rest.plan(shape).body:
        root = _ROOTS.get(operation.name) or shape.wire_name or f"{operation.name}Result"
        body = _document(root, shape, result)
    if body and "content-type" not in {name.lower() for name in headers}:
        is_stream = payload is not None and payload.type_name in _STREAMS
        headers["content-type"] = "application/octet-stream" if is_stream else "application/xml"
    return Response(status or operation.status, headers, body)


def _document(root: str, shape: Shape, value: Mapping[str, Any]) -> bytes:
    parts = [_DECLARATION, f'<{root} xmlns="{NAMESPACE}">']
    xml.write_members(parts, shape, value)
    parts.append(f"</{root}>")
    return "".join(parts).encode()


def serialize_error(error: AwsError, operation: Operation | None, request_id: str) -> Response:
    """Return the answer that says `error`."""
    fault = fault_of(error, "rest_xml", operation)
    parts = [
        _DECLARATION,
        f"<Error><Code>{xml.escape(fault.code)}</Code><Message>{xml.escape(fault.message)}</Message>",
        *(f"<{name}>{xml.escape(str(value))}</{name}>" for name, value in fault.members.items()),
        f"<RequestId>{request_id}</RequestId></Error>",
    ]
    headers = {"content-type": "application/xml", "x-amz-request-id": request_id}
    return Response(fault.status, headers, "".join(parts).encode())
