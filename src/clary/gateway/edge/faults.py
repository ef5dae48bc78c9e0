"""Errors of the edge's own, as each kind of client reads them."""

import json
from typing import NamedTuple
from uuid import uuid4
from xml.sax.saxutils import escape

from clary.gateway.edge.classify import scope
from clary.gateway.edge.head import Head
from clary.kernel.errors import AwsError, FaultKind, SignatureFault
from clary.wire.faults import S3_TEXTS, SIGNATURE_CODES

_QUERY_SERVICES = frozenset({"sts", "iam", "sns", "monitoring", "cloudformation", "ec2", "autoscaling"})
_CORRELATION = uuid4().hex[:20]
_LEAD = (
    f"{_CORRELATION[:8]}-{_CORRELATION[8:12]}-4{_CORRELATION[12:15]}-a{_CORRELATION[15:18]}-%012x".encode()
)
_n_requests = 0


class Fault(NamedTuple):
    """A whole answer: status, header lines, body."""

    status: int
    lines: bytes
    body: bytes


def request_id() -> str:
    """Return a request id as AWS prints it; unique, and cheaper than a random one."""
    return request_id_bytes().decode()


def request_id_bytes() -> bytes:
    """Return a request id as it goes out."""
    global _n_requests  # noqa: PLW0603 - one count per process is the point
    _n_requests += 1
    return _LEAD % _n_requests


def s3(head: Head, code: str, message: str, status: int) -> Fault:
    """Return an error as S3 spells it; the answer to HEAD has no body, so its status must tell."""
    identity = request_id()
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        f"<Resource>{escape(head.path)}</Resource><RequestId>{identity}</RequestId></Error>"
    )
    lines = f"content-type: application/xml\r\nx-amz-request-id: {identity}\r\n"
    return Fault(status, lines.encode(), text.encode())


def rest_json(code: str, message: str, status: int, **members: object) -> Fault:
    """Return an error of a rest-json service; `members` are further ones of its shape."""
    identity = request_id()
    lines = f"content-type: application/json\r\nx-amzn-RequestId: {identity}\r\nx-amzn-ErrorType: {code}\r\n"
    return Fault(status, lines.encode(), json.dumps({"Message": message, **members}).encode())


def _json(code: str, message: str, status: int) -> Fault:
    identity = request_id()
    lines = f"x-amzn-RequestId: {identity}\r\nx-amzn-ErrorType: {code}\r\n"
    lines += "content-type: application/x-amz-json-1.1\r\n"
    return Fault(status, lines.encode(), json.dumps({"__type": code, "message": message}).encode())


def _query(code: str, message: str, status: int) -> Fault:
    identity = request_id()
    side = "Sender" if status < 500 else "Receiver"
    text = (
        f"<ErrorResponse><Error><Type>{side}</Type><Code>{escape(code)}</Code>"
        f"<Message>{escape(message)}</Message></Error><RequestId>{identity}</RequestId></ErrorResponse>"
    )
    lines = f"content-type: text/xml\r\nx-amzn-RequestId: {identity}\r\n"
    return Fault(status, lines.encode(), text.encode())


def fault(head: Head, code: str, message: str, status: int) -> Fault:
    """Return an error as the client of `head` reads it."""
    if "x-amz-target" in head.fields:
        return _json(code, message, status)
    signer = scope(head)
    if signer is not None and signer.service in _QUERY_SERVICES:
        return _query(code, message, status)
    if (signer is not None and signer.service != "s3") or head.path.startswith("/_clary/"):
        return rest_json(code, message, status)
    return s3(head, code, message, status)


def busy(message: str) -> Fault:
    """Return the error of an endpoint that cannot answer now; clients try again."""
    status, lines, body = rest_json("ServiceUnavailable", message, 503)
    return Fault(status, lines + b"retry-after: 1\r\n", body)


def away(head: Head, message: str) -> Fault:
    """Return the error for a neighbour that does not answer; clients try again."""
    status, lines, body = fault(head, "ServiceUnavailable", message, 503)
    return Fault(status, lines + b"retry-after: 1\r\n", body)


def too_long(head: Head, limit: int) -> Fault:
    """Return the error for a body over `limit` bytes."""
    return fault(head, "RequestEntityTooLarge", f"The request's body is longer than {limit} bytes.", 413)


def unsigned(head: Head, error: AwsError, *, is_s3: bool) -> Fault:
    """Return the error for a request whose signature was refused."""
    if not isinstance(error, SignatureFault):
        code, status = error.wire_code, error.wire_status
        return s3(head, code, error.message, status) if is_s3 else rest_json(code, error.message, status)
    if not is_s3:
        code, status = SIGNATURE_CODES["rest_json"][error.kind]
        return rest_json(code, error.message, status)
    code, status = SIGNATURE_CODES["rest_xml"][error.kind]
    if error.kind is FaultKind.MALFORMED and "authorization" not in head.fields:
        code = "AuthorizationQueryParametersError"
    return s3(head, code, S3_TEXTS.get(error.kind, error.message), status)
