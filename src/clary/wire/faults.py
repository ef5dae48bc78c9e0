"""Errors as each protocol spells them: code, status, text.

A handler raises what happened (`ResourceNotFound`); which of AWS's names for it a client waits for depends on
the service (`ResourceNotFoundException` in Logs, `NoSuchEntity` in IAM). A code that was given stays.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from clary.kernel.errors import AwsError, FaultKind, SignatureFault
from clary.wire.service import Operation
from clary.wire.shape import Shape

Table = Mapping[FaultKind, tuple[str, int]]

_JSON: Table = {
    FaultKind.MISSING: ("MissingAuthenticationTokenException", 403),
    FaultKind.MALFORMED: ("IncompleteSignatureException", 403),
    FaultKind.UNKNOWN_KEY: ("UnrecognizedClientException", 403),
    FaultKind.MISMATCH: ("InvalidSignatureException", 403),
    FaultKind.SKEWED: ("InvalidSignatureException", 403),
    FaultKind.EXPIRED_URL: ("InvalidSignatureException", 403),
    FaultKind.EXPIRED_TOKEN: ("ExpiredTokenException", 403),
    FaultKind.INVALID_TOKEN: ("UnrecognizedClientException", 403),
}
_QUERY: Table = {
    FaultKind.MISSING: ("MissingAuthenticationToken", 403),
    FaultKind.MALFORMED: ("IncompleteSignature", 400),
    FaultKind.UNKNOWN_KEY: ("InvalidClientTokenId", 403),
    FaultKind.MISMATCH: ("SignatureDoesNotMatch", 403),
    FaultKind.SKEWED: ("SignatureDoesNotMatch", 403),
    FaultKind.EXPIRED_URL: ("RequestExpired", 400),
    FaultKind.EXPIRED_TOKEN: ("ExpiredToken", 403),
    FaultKind.INVALID_TOKEN: ("InvalidClientTokenId", 403),
}
_S3: Table = {
    FaultKind.MISSING: ("AccessDenied", 403),
    FaultKind.MALFORMED: ("AuthorizationHeaderMalformed", 400),
    FaultKind.UNKNOWN_KEY: ("InvalidAccessKeyId", 403),
    FaultKind.MISMATCH: ("SignatureDoesNotMatch", 403),
    FaultKind.SKEWED: ("RequestTimeTooSkewed", 403),
    FaultKind.EXPIRED_URL: ("AccessDenied", 403),
    FaultKind.EXPIRED_TOKEN: ("ExpiredToken", 400),
    FaultKind.INVALID_TOKEN: ("InvalidToken", 400),
}
SIGNATURE_CODES: Mapping[str, Table] = {
    "json": _JSON, "rest_json": _JSON, "cbor": _JSON, "query": _QUERY, "rest_xml": _S3,
}  # fmt: skip
"""Source: Common Errors of each service's API reference; Amazon S3 API reference, Error responses."""

S3_TEXTS: Mapping[FaultKind, str] = {
    FaultKind.MISSING: "Access Denied",
    FaultKind.UNKNOWN_KEY: "The AWS Access Key Id you provided does not exist in our records.",
    FaultKind.MISMATCH: "The request signature we calculated does not match the signature you provided. "
    "Check your key and signing method.",
    FaultKind.SKEWED: "The difference between the request time and the current time is too large.",
    FaultKind.EXPIRED_URL: "Request has expired",
    FaultKind.EXPIRED_TOKEN: "The provided token has expired.",
    FaultKind.INVALID_TOKEN: "The provided token is malformed or otherwise invalid.",
}
"""S3's own texts. Source: Amazon S3 API reference, Error responses."""

_DECLARED: Mapping[str, tuple[str, ...]] = {
    "ValidationException": ("ValidationException", "ValidationError", "InvalidParameterException"),
    "ResourceNotFound": ("ResourceNotFound", "ResourceNotFoundException", "NoSuchEntity"),
    "ResourceInUse": (
        "ResourceInUse",
        "ResourceInUseException",
        "ResourceAlreadyExistsException",
        "EntityAlreadyExists",
    ),
    "ResourceLimitExceeded": ("ResourceLimitExceeded", "LimitExceededException", "LimitExceeded"),
    "AccessDeniedException": ("AccessDeniedException", "AccessDenied"),
    "ThrottlingException": ("ThrottlingException", "ThrottledException"),
    "InternalFailure": ("InternalFailure", "InternalFailureException", "InternalServerException"),
}
"""Names that services declare for one kind of error; the first that the operation declares is used."""

_UNDECLARED: Mapping[str, Mapping[str, str]] = {
    "query": {
        "ValidationException": "ValidationError",
        "AccessDeniedException": "AccessDenied",
        "UnknownOperationException": "InvalidAction",
        "ThrottlingException": "Throttling",
        "SerializationException": "MalformedInput",
    },
    "rest_xml": {
        "ValidationException": "InvalidArgument",
        "AccessDeniedException": "AccessDenied",
        "UnknownOperationException": "NotImplemented",
        "ThrottlingException": "SlowDown",
        "SerializationException": "MalformedXML",
        "InternalFailure": "InternalError",
    },
}
"""Names where the operation declares none, by protocol."""


class Fault(NamedTuple):
    """An error, ready to be written."""

    code: str
    status: int
    message: str
    shape: Shape | None
    """Shape that the service declares for it."""
    members: Mapping[str, Any]
    """Further members of that shape."""


def fault_of(error: AwsError, protocol: str, operation: Operation | None) -> Fault:
    """Return `error` as `protocol` and the operation's service spell it."""
    if isinstance(error, SignatureFault):
        code, status = SIGNATURE_CODES[protocol][error.kind]
        message = S3_TEXTS.get(error.kind, error.message) if protocol == "rest_xml" else error.message
        return Fault(code, status, message, None, {})
    code = error.wire_code
    if code == type(error).code:
        code = _named(code, protocol, operation)
    shape = operation.service.errors.get(code) if operation else None
    status = error.wire_status
    if shape is not None:
        code = shape.error_code if protocol == "query" else shape.name
        if status == type(error).status:
            status = shape.error_status or status
    return Fault(code, status, error.message, shape, error.members)


def _named(code: str, protocol: str, operation: Operation | None) -> str:
    declared = operation.error_codes if operation else frozenset()
    for name in _DECLARED.get(code, (code, f"{code}Exception")):
        if name in declared:
            return name
    return _UNDECLARED.get(protocol, {}).get(code, code)
