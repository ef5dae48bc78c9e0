"""Answers of the platform's own paths: plain JSON."""

import json
from typing import Any

from clary.kernel.errors import AwsError, ResourceNotFound
from clary.wire.http import Response


def as_json(document: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(status, {"content-type": "application/json"}, json.dumps(document, default=str).encode())


def as_error(error: AwsError) -> Response:
    """Return an error with its code and message; what is not there is 404."""
    status = 404 if isinstance(error, ResourceNotFound) else error.wire_status
    return as_json({"code": error.wire_code, "message": error.message}, status)
