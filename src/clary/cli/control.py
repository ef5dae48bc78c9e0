"""The control plane's internal API, over its unix socket: only the owner of the data folder reaches it."""

import http.client
import json
import socket
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

TIMEOUT_S = 30.0


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(
    settings: Settings,
    method: str,
    path: str,
    document: Mapping[str, Any] | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """Send a request to `/internal/…` and return the JSON answered.

    Raises
    ------
    SetupError
        It does not answer, or refuses; the text is its own.
    """
    connection = Connection(settings.control_socket, timeout_s)
    try:
        body = None if document is None else json.dumps(document)
        connection.request(method, urllib.parse.quote(path), body, {"content-type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise SetupError(
            f"the control plane does not answer ({error}); `clary status` shows how it stands"
        ) from None
    finally:
        connection.close()
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        answer = {"message": text[:200]}
    if response.status >= 300:
        said = answer.get("message") if isinstance(answer, dict) else None
        raise SetupError(str(said or f"the control plane answered {response.status} to {method} {path}"))
    return answer
