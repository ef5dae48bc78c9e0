"""A Jupyter kernel as a browser sees it: messages over a WebSocket."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from clary.kernel import ids
from clary.testing.notebooks import Visitor


class WebSocket:
    """An open WebSocket: whole texts out and in. Source: RFC 6455."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    def send(self, text: str) -> None:
        """Send a text in one masked frame."""
        body, mask = text.encode(), os.urandom(4)
        n = len(body)
        length = bytes([0x80 | n]) if n < 126 else bytes([0x80 | 126]) + n.to_bytes(2, "big")
        stretched = int.from_bytes((mask * (n // 4 + 1))[:n], "big")
        masked = (int.from_bytes(body, "big") ^ stretched).to_bytes(n, "big")
        self._connection.sendall(b"\x81" + length + mask + masked)

    def receive(self) -> str:
        """Return the next text; pings are answered on the way.

        Raises
        ------
        ConnectionError
            The other side closed it.
        """
        text = b""
        while True:
            head = self._file.read(2)
            if len(head) < 2:
                raise ConnectionError("the WebSocket has ended")
            n = head[1] & 0x7F
            if n >= 126:
                n = int.from_bytes(self._file.read(2 if n == 126 else 8), "big")
            body, kind = self._file.read(n), head[0] & 0xF
            if kind == 8:
                raise ConnectionError(f"the WebSocket was closed: {body[2:].decode(errors='replace')}")
            if kind == 9:
                self._connection.sendall(bytes([0x8A, 0x80 | len(body)]) + bytes(4) + body)
            elif kind in {0, 1}:
                text += body
                if head[0] & 0x80:
                    return text.decode()


class Kernel:
    """One kernel of an instance, and a session with it."""

    def __init__(self, channel: WebSocket, kernel_id: str) -> None:
        self._channel = channel
        self.kernel_id = kernel_id

    def run(self, source: str) -> str:
        """Run a cell; return what it printed, what it is worth, or its traceback."""
        message_id = ids.short(16)
        header = {"msg_id": message_id, "msg_type": "execute_request", "username": "", "session": "tests"}
        header |= {"date": "", "version": "5.3"}
        content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": False, "stop_on_error": True}
        message: dict[str, Any] = {"header": header, "parent_header": {}, "metadata": {}}
        self._channel.send(json.dumps(message | {"content": content, "channel": "shell", "buffers": []}))
        shown = ""
        while True:
            got = json.loads(self._channel.receive())
            if got["parent_header"].get("msg_id") != message_id:
                continue
            match got["msg_type"], got["content"]:
                case "stream", said:
                    shown += said["text"]
                case "execute_result", said:
                    shown += said["data"]["text/plain"]
                case "error", said:
                    shown += "\n".join(said["traceback"])
                case "status", {"execution_state": "idle"}:
                    return shown


@contextlib.contextmanager
def kernel(visitor: Visitor, path: str, *, name: str = "python3", kernel_id: str = "") -> Iterator[Kernel]:
    """Start a kernel of the instance at `path`, or join the one named; it lives on afterwards."""
    headers = {"Origin": f"http://{visitor.host}", "X-XSRFToken": visitor.cookies.get("_xsrf", "")}
    if not kernel_id:
        body = json.dumps({"name": name})
        answer = visitor.ask("POST", f"{path}/api/kernels", body, headers)
        if answer.status != 201:
            raise ConnectionError(f"no kernel: HTTP {answer.status}: {answer.text[:500]}")
        kernel_id = json.loads(answer.text)["id"]
    target = f"{path}/api/kernels/{kernel_id}/channels?session_id={ids.short(8)}"
    connection, head = visitor.socket(target, f"http://{visitor.host}")
    with connection:
        if not head.startswith("HTTP/1.1 101 "):
            raise ConnectionError(f"no WebSocket: {head[:500]}")
        yield Kernel(WebSocket(connection), kernel_id)
