"""What a module of this package offers."""

from collections.abc import Mapping
from typing import Any, Protocol

from clary.kernel.errors import AwsError
from clary.wire.http import Request, Response
from clary.wire.service import Operation


class WireProtocol(Protocol):
    """The functions of a protocol's module.

    Promises
    --------
    - `parse` accepts members that the model does not know, and drops them.
    - `serialize` drops members that the output shape does not know, and those that are None.
    - What `serialize` writes, botocore's parser of the same protocol reads back equal.
    """

    def parse(self, operation: Operation, request: Request, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the request's members by wire name.

        Raises
        ------
        ValidationException
            A value is of another type than the model's; code `SerializationException`.
        """
        ...

    def serialize(self, operation: Operation, result: Mapping[str, Any], request_id: str) -> Response:
        """Return the answer that says `result`."""
        ...

    def serialize_error(self, error: AwsError, operation: Operation | None, request_id: str) -> Response:
        """Return the answer that says `error`; `operation` None when the request has no route."""
        ...
