"""An HTTP request and response, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One request, body read whole."""

    method: str
    path: str
    """Raw, percent-encoded, as on the wire."""
    query: str = ""
    """Raw, without the question mark."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""


@dataclass(slots=True)
class Response:
    """One response, body whole."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
