"""Asking a container as the service does: one kept connection, one question at a time.

Source: developer guide, "Use your own inference code with hosting services", and with batch transform.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from clary.compute import linux

ADDRESS = "CLARY_CONTAINER"
"""Variable that tells a bridge where its container answers."""
INVOKE = "/invocations"
CHUNK_BYTES = 1 << 16
_PARAMETERS = "/execution-parameters"


class Line:
    """A connection to the container at `http://host:port`."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._netloc = urlsplit(address).netloc
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (lower case) and body of the answer.

        Raises
        ------
        OSError
            None came.
        """
        answer = self._answered(method, path, body, headers or {})
        try:
            return answer.status, headers_of(answer), answer.read()
        except http.client.HTTPException as error:
            self.close()
            raise ConnectionResetError(f"the answer broke off: {error!r}") from error

    def parts(
        self, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], Iterator[bytes]]:
        """Return status, headers and, as they come, the pieces of the answer."""
        answer = self._answered("POST", path, body, headers)
        return answer.status, headers_of(answer), self._pieces(answer)

    def _pieces(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := answer.read1(CHUNK_BYTES):
                yield piece
        except http.client.HTTPException as error:
            raise ConnectionResetError(f"the answer broke off: {error!r}") from error
        finally:
            self.close()

    def _answered(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        is_old = self._connection is not None
        try:
            return self._sent(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if is_old and not isinstance(error, TimeoutError):  # it was closed while it rested
                return self._answered(method, path, body, headers)
            if isinstance(error, OSError):
                raise
            raise ConnectionResetError(f"the container does not answer in HTTP: {error!r}") from error

    def _sent(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._netloc, timeout=self._timeout_s)
        self._connection.request(method, path, body or None, dict(headers))
        return self._connection.getresponse()

    def interrupt(self) -> None:
        """End what is being asked, from any thread."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(2)

    def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def is_owner_alive(address: str) -> bool:
    """Return whether the container that an address was told for still lives; asked after connecting.

    `http://10.88.0.5:8080#4711.99` names the container's first process and when that started: while it lives
    the address is nobody else's, so that a connection made before the question leads to it. An address with
    no stamp, of an engine whose processes are not seen from here, is believed.
    """
    pid, dot, started = urlsplit(address).fragment.partition(".")
    return not dot or linux.start_time(int(pid)) == int(started)


def headers_of(answer: http.client.HTTPResponse) -> dict[str, str]:
    """Return an answer's headers by their names in lower case."""
    return {name.lower(): value for name, value in answer.headers.items()}


def is_well(address: str, timeout_s: float) -> str:
    """Return nothing where `GET /ping` answers 200, else what is wrong; `OSError` where nobody listens."""
    line = Line(address, timeout_s)
    try:
        status, _, body = line.ask("GET", "/ping")
    finally:
        line.close()
    return "" if status == 200 else f"GET /ping answered {status}: {body[:200].decode(errors='replace')}"


def execution_parameters(address: str, timeout_s: float) -> dict[str, Any]:
    """Return how a container wants to be asked by batches; nothing where it does not say."""
    line = Line(address, timeout_s)
    try:
        status, _, body = line.ask("GET", _PARAMETERS)
        found = json.loads(body) if status == 200 else {}
    except (OSError, ValueError):
        found = {}
    finally:
        line.close()
    return found if isinstance(found, dict) else {}
