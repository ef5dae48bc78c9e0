"""smithy-rpc-v2-cbor: not served, but refused in its own words."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import AwsError, UnknownOperation
from clary.wire.faults import fault_of
from clary.wire.http import Request, Response
from clary.wire.service import Operation

_REFUSAL = "The protocol rpc-v2-cbor is not served; use JSON or query, as botocore does."


def parse(operation: Operation, request: Request, params: Mapping[str, str]) -> dict[str, Any]:
    """Refuse the request."""
    raise UnknownOperation(_REFUSAL)


def serialize(operation: Operation, result: Mapping[str, Any], request_id: str) -> Response:
    """Refuse the request."""
    return serialize_error(UnknownOperation(_REFUSAL), operation, request_id)


def serialize_error(error: AwsError, operation: Operation | None, request_id: str) -> Response:
    """Return the answer that says `error`."""
    fault = fault_of(error, "cbor", operation)
    body = b"\xa2" + b"".join(_text(part) for part in ("__type", fault.code, "message", fault.message))
    headers = {
        "content-type": "application/cbor",
        "smithy-protocol": "rpc-v2-cbor",
        "x-amzn-RequestId": request_id,
    }
    return Response(fault.status, headers, body)


def _text(value: str) -> bytes:
    """Return a text string of CBOR (RFC 8949, major type 3), its length in four bytes."""
    encoded = value.encode()
    return b"\x7a" + len(encoded).to_bytes(4) + encoded
