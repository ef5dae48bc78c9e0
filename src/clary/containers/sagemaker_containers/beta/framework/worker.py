"""Answers as old scripts return them."""

from __future__ import annotations

from typing import Any


class Response:
    """What `output_fn` or `transform_fn` answers."""

    def __init__(
        self,
        response: Any = None,
        status: int | None = None,
        headers: Any = None,
        mimetype: str | None = None,
        content_type: str | None = None,
        accept: str | None = None,
    ) -> None:
        self.response = response
        self.status_code = int(status or 200)
        self.headers = dict(headers or {})
        self.mimetype = mimetype or content_type or accept or ""
        self.content_type = self.mimetype

    def get_data(self, *, as_text: bool = False) -> Any:
        """Return the body."""
        body = self.response
        if body is None:
            body = b""
        elif isinstance(body, list | tuple):
            body = b"".join(each.encode() if isinstance(each, str) else bytes(each) for each in body)
        if as_text:
            return body.decode() if isinstance(body, bytes) else str(body)
        return body.encode() if isinstance(body, str) else body

    data = property(get_data)
