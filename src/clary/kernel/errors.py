"""Errors that reach a customer, one tree.

    AwsError
    ├── ValidationException      400   a member is missing, malformed or out of range
    ├── ResourceNotFound         400   the named resource does not exist
    ├── ResourceInUse            400   the name is taken, or the state forbids the request
    ├── ResourceLimitExceeded    400   a quota of the account is reached
    ├── ConflictException        409
    ├── AccessDenied             403   signed well, not allowed
    ├── SignatureFault           403   not signed well; `kind` says how
    ├── UnknownOperation         400   no such operation, or not served
    ├── Throttling               400   too many requests
    └── InternalFailure          500   ours to mend

`wire` spells code and text for each protocol; handlers only raise.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar


class AwsError(Exception):
    """An error in AWS's shape: a code, a message, a status."""

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 400

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.members = members or {}
        """Further members of the error's shape: `OriginalStatusCode` of `ModelError`."""
        self.wire_code = code or type(self).code
        """Code as the client sees it."""
        self.wire_status = status or type(self).status
        """HTTP status."""


class ValidationException(AwsError):
    """A request member is missing, malformed or out of range."""

    code = "ValidationException"


class ResourceNotFound(AwsError):
    """The named resource does not exist in this account and region."""

    code = "ResourceNotFound"


class ResourceInUse(AwsError):
    """The name is taken, or the resource is in a state that forbids the request."""

    code = "ResourceInUse"


class ResourceLimitExceeded(AwsError):
    """A quota of the account is reached."""

    code = "ResourceLimitExceeded"


class ConflictException(AwsError):
    """Two requests want the same resource in different states."""

    code = "ConflictException"
    status = 409


class AccessDenied(AwsError):
    """The caller is known, and may not do this."""

    code = "AccessDeniedException"
    status = 403


class UnknownOperation(AwsError):
    """The operation does not exist, or Clary does not serve it."""

    code = "UnknownOperationException"


class Throttling(AwsError):
    """Too many requests; clients retry with back-off."""

    code = "ThrottlingException"


class InternalFailure(AwsError):
    """A fault of Clary's own; clients retry it."""

    code = "InternalFailure"
    status = 500


class FaultKind(Enum):
    """Why a signature was refused; `wire` maps each to the protocol's own code."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    MISMATCH = "mismatch"
    SKEWED = "skewed"
    EXPIRED_URL = "expired_url"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - a kind of fault, not a secret
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - a kind of fault, not a secret


class SignatureFault(AwsError):
    """The request is not signed, or not signed by a key that Clary knows."""

    code = "IncompleteSignature"
    status = 403

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class CustomerError(Exception):
    """A fault in a job's input or code; its text becomes `FailureReason` (prefix `ClientError: `)."""


class SetupError(Exception):
    """Something on this machine stops Clary; printed as one line by the CLI, with how to mend it."""
