"""A subscriber for tests of notifications: a web server that confirms, and keeps what it got."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Subscriber:
    """What a subscriber got; methods may be called from any thread."""

    url: str
    confirms: bool = True
    statuses: list[int] = field(default_factory=list)
    """Answers to the next notifications, before all is well."""
    held: threading.Event | None = None
    """Notifications wait for it, where there is one."""
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)
    """Headers in lower case, and body."""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, headers: dict[str, str], body: str) -> int:
        """Take a request; return the status to answer."""
        kind = headers["x-amz-sns-message-type"]
        with self._changed:
            self.got.append((headers, body))
            self._changed.notify_all()
        if kind == "SubscriptionConfirmation" and self.confirms:
            link = json.loads(body)["SubscribeURL"]
            urllib.request.urlopen(link).close()  # noqa: S310 - the server's own link
        if kind == "Notification":
            if self.held is not None:
                self.held.wait(60)
            if self.statuses:
                return self.statuses.pop(0)
        return 200

    def await_one(
        self, holds: Callable[[dict[str, str], str], bool], limit_s: float = 30.0
    ) -> tuple[Any, str]:
        """Return the first request, headers and body, that `holds` accepts, once it is there."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(holds(*each) for each in self.got), limit_s), self.got
            return next(each for each in self.got if holds(*each))

    def notifications(self) -> list[str]:
        """Return the bodies of the notifications that came."""
        kind = "x-amz-sns-message-type"
        return [body for headers, body in self.got if headers[kind] == "Notification"]


@contextmanager
def subscriber(**members: Any) -> Iterator[Subscriber]:
    """Run a subscriber on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status = made.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Subscriber(f"http://127.0.0.1:{server.server_address[1]}/hook", **members)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
