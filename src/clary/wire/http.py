"""An HTTP request and response, as plain values."""

from collections.abc import AsyncIterator, Mapping
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
    """One response: its body whole, or in pieces as they come."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: AsyncIterator[bytes] | None = None
    """The body of a stream, in place of `body`."""
