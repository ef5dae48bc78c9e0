"""Answers of the platform's own paths: plain JSON."""

import json
from typing import Any

from clary.kernel.errors import AwsError
from clary.wire.http import Response


def as_json(document: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(status, {"content-type": "application/json"}, json.dumps(document, default=str).encode())


def as_error(error: AwsError, status: int | None = None) -> Response:
    """Return an error with its code and message."""
    return as_json({"code": error.wire_code, "message": error.message}, status or error.wire_status)
