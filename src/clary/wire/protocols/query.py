"""The query protocol: a form goes in, XML comes out."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from clary.kernel.errors import AwsError
from clary.wire.codecs import form, xml
from clary.wire.codecs.misfit import Misfit
from clary.wire.faults import fault_of
from clary.wire.http import Request, Response
from clary.wire.service import Operation
from clary.wire.shape import EMPTY

_CONTENT_TYPE = "text/xml"


def parse(operation: Operation, request: Request, params: Mapping[str, str]) -> dict[str, Any]:
    """Return the request's members by wire name; the query string of a presigned URL counts as the form."""
    try:
        pairs = parse_qsl(request.query, keep_blank_values=True, errors="strict")
        pairs += parse_qsl(request.body.decode(), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise Misfit("a form in UTF-8", f"not: {error}") from None
    parsed: dict[str, Any] = form.reader(operation.input)(form.tree(pairs))
    return parsed


def serialize(operation: Operation, result: Mapping[str, Any], request_id: str) -> Response:
    """Return the answer that says `result`."""
    name, output = operation.name, operation.output
    parts = [f'<{name}Response xmlns="{xml.escape(operation.service.xml_namespace)}">']
    if output is not EMPTY:
        wrapper = output.result_wrapper or f"{name}Result"
        parts.append(f"<{wrapper}>")
        xml.write_members(parts, output, result)
        parts.append(f"</{wrapper}>")
    parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>")
    return Response(headers=_headers(request_id), body="".join(parts).encode())


def serialize_error(error: AwsError, operation: Operation | None, request_id: str) -> Response:
    """Return the answer that says `error`."""
    fault = fault_of(error, "query", operation)
    declared = f' xmlns="{xml.escape(operation.service.xml_namespace)}"' if operation else ""
    side = "Sender" if fault.status < 500 else "Receiver"
    parts = [
        f"<ErrorResponse{declared}><Error><Type>{side}</Type><Code>{xml.escape(fault.code)}</Code>",
        f"<Message>{xml.escape(fault.message)}</Message>",
    ]
    if fault.shape is not None:
        rest = {name: value for name, value in fault.members.items() if name.lower() != "message"}
        xml.write_members(parts, fault.shape, rest)
    parts.append(f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>")
    return Response(fault.status, _headers(request_id), "".join(parts).encode())


def _headers(request_id: str) -> dict[str, str]:
    return {"content-type": _CONTENT_TYPE, "x-amzn-RequestId": request_id}
