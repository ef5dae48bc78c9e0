"""A client of Docker's API: one short connection a call."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

CALL_S = 120.0
"""For one answer: a busy engine takes its time."""


class DockerError(Exception):
    """The engine refused, or does not answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        """As of HTTP; 0 where nobody answered."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Docker:
    """The engine at one address.

    Parameters
    ----------
    url : str
        `unix:///path`, or `tcp://host:port`.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = CALL_S,
        **query: Any,
    ) -> Any:
        """Return the answer's JSON, or its text where it is none.

        Raises
        ------
        DockerError
            The engine refused, with its own words, or does not answer.
        """
        with self.opened(method, path, body, timeout_s=timeout_s, **query) as answer:
            try:
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise DockerError(0, f"{self.url} hung up: {error}") from error
        try:
            return json.loads(text) if text else None
        except ValueError:
            return text.decode(errors="replace")

    @contextmanager
    def opened(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        **query: Any,
    ) -> Iterator[http.client.HTTPResponse]:
        """Ask, and lend the answer while it is still coming.

        Raises
        ------
        DockerError
            As of `ask`.
        """
        connection = self._connection(timeout_s)
        target = quote(path, safe="/:@") + (f"?{urlencode(query)}" if query else "")
        sent = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        try:
            try:
                connection.request(method, target, sent, given)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise DockerError(0, f"{self.url} does not answer: {error}") from error
            if answer.status >= 400:
                raise DockerError(answer.status, _message(answer))
            try:
                yield answer
            finally:
                answer.close()
        finally:
            connection.close()

    def _connection(self, timeout_s: float | None) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, timeout_s)
        return http.client.HTTPConnection(parts.netloc, timeout=timeout_s)


def _message(answer: http.client.HTTPResponse) -> str:
    text = answer.read(1 << 16).decode(errors="replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text or f"HTTP {answer.status}"
