"""A stand-in for JupyterLab, for tests: it listens as told, runs Python when asked, and echoes WebSockets.

Copied into an environment of its own as `jupyterlab/__main__.py`; standard library only.
"""

import base64
import contextlib
import hashlib
import io
import json
import os
import socketserver
import sys
import threading
import traceback
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

_ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Source: RFC 6455, section 1.3."""
_BEGUN = datetime.now(UTC).isoformat()


def option(name: str) -> str:
    """Return what the command line says of an option."""
    return next(each.partition("=")[2] for each in sys.argv if each.startswith(f"--{name}="))


class Handler(BaseHTTPRequestHandler):
    """Answers below the base path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the status, the request's own head, a WebSocket, or a page."""
        path = self._place()
        if self.headers.get("Upgrade", "").lower() == "websocket" and path == "api/channels":
            self._echo()
        elif path == "api/status":
            self._json({"last_activity": _BEGUN, "kernels": 0, "connections": 0})
        elif path == "api/kernels":
            self._json([])
        elif path == "api/head":
            self._json({name.lower(): value for name, value in self.headers.items()})
        elif path == "":
            self._send(302, b"", {"Location": f"{option('ServerApp.base_url')}lab"})
        else:
            self._send(200, f"<title>{path}</title>".encode(), {"Set-Cookie": "_xsrf=2|stand-in; Path=/"})

    def do_POST(self) -> None:
        """Run the body as Python; answer what it printed."""
        source = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                exec(source, {"__name__": "__main__"})  # noqa: S102 - a notebook runs code
            except BaseException:
                printed.write(traceback.format_exc())
        self._send(200, printed.getvalue().encode(), {})

    def _place(self) -> str:
        return self.path.partition("?")[0].removeprefix(option("ServerApp.base_url"))

    def _json(self, document: object) -> None:
        self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "text/html"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _echo(self) -> None:
        """Speak WebSocket: send every short frame back, unmasked."""
        key = self.headers["Sec-WebSocket-Key"]
        proof = base64.b64encode(hashlib.sha1((key + _ACCEPT).encode()).digest()).decode()  # noqa: S324
        self.send_response(101)
        for name, value in (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", proof),
        ):
            self.send_header(name, value)
        self.end_headers()
        while head := self.rfile.read(2):
            mask = self.rfile.read(4)
            text = bytes(byte ^ mask[n % 4] for n, byte in enumerate(self.rfile.read(head[1] & 0x7F)))
            if head[0] & 0xF == 8:
                break
            self.wfile.write(bytes([head[0], len(text)]) + text)
        self.close_connection = True

    def address_string(self) -> str:
        """Return a name for who asks; a unix socket has none."""
        return "edge"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A thread a connection."""

    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    """Listen until the process is ended."""
    os.umask(0o077)
    server = Server(option("ServerApp.sock"), Handler)
    sys.stdout.write(f"listening, in {os.getcwd()}\n")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
