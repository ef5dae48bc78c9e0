"""Notebook instances for tests: made, awaited, and visited as a browser does."""

import base64
import http.client
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from clary.testing.server import Account

PATIENCE_S = 90.0


def create(account: Account, name: str, **members: Any) -> dict[str, Any]:
    """Create an instance; return its description once it is in service, or has failed."""
    account.client("sagemaker").create_notebook_instance(
        **{
            "NotebookInstanceName": name,
            "InstanceType": "ml.t3.medium",
            "RoleArn": account.role_arn,
            **members,
        }
    )
    return settled(account, name)


def settled(account: Account, name: str) -> dict[str, Any]:
    """Wait until an instance is in service, stopped, or has failed; return its description."""
    until = time.monotonic() + PATIENCE_S
    while True:
        found: dict[str, Any] = account.client("sagemaker").describe_notebook_instance(
            NotebookInstanceName=name
        )
        if found["NotebookInstanceStatus"] in {"InService", "Stopped", "Failed"}:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"{name} is {found['NotebookInstanceStatus']} for {PATIENCE_S:.0f} s")
        time.sleep(0.05)


def stop(account: Account, name: str) -> dict[str, Any]:
    """Stop an instance and wait for it."""
    account.client("sagemaker").stop_notebook_instance(NotebookInstanceName=name)
    return settled(account, name)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Visitor:
    """A browser: it keeps cookies of one host name, and follows no redirect unasked."""

    port: int
    host: str
    cookies: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str) -> "Visitor":
        """Return one that can visit a presigned URL."""
        parts = urlsplit(url)
        assert parts.port is not None
        return cls(parts.port, parts.netloc)

    def connect(self) -> socket.socket:
        """Return a connection to the server, whatever the host name resolves to."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def ask(
        self, method: str, target: str, body: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask for a target below the host."""
        connection = http.client.HTTPConnection(self.host)
        connection.sock = self.connect()
        given = {"Host": self.host, **self._cookie(), **(headers or {})}
        connection.request(method, target, body.encode() if body else None, given)
        answer = connection.getresponse()
        found = Answer(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read().decode(errors="replace"),
        )
        connection.close()
        for line in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return found

    def enter(self, url: str) -> Answer:
        """Open a presigned URL, and go where it leads."""
        parts = urlsplit(url)
        answer = self.ask("GET", f"{parts.path}?{parts.query}")
        return self.ask("GET", answer.headers["location"]) if answer.status == 303 else answer

    def run(self, path: str, source: str) -> str:
        """Run Python in the instance at `path`; return what it printed."""
        answer = self.ask("POST", f"{path}/api/run", source, {"Origin": f"http://{self.host}"})
        assert answer.status == 200, answer.text
        return answer.text

    def socket(self, target: str, origin: str) -> tuple[socket.socket, str]:
        """Ask for a WebSocket; return the connection and the head of the answer."""
        connection = self.connect()
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {target} HTTP/1.1", f"Host: {self.host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Origin: {origin}", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        lines += [f"{name}: {value}" for name, value in self._cookie().items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            if not byte:
                break
            head += byte
        return connection, head.decode()

    def _cookie(self) -> dict[str, str]:
        text = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": text} if text else {}


def frame(text: bytes) -> bytes:
    """Return a short text as a masked WebSocket frame."""
    mask = os.urandom(4)
    return bytes([0x81, 0x80 | len(text)]) + mask + bytes(b ^ mask[n % 4] for n, b in enumerate(text))
