"""The edge's neighbours, small enough for tests to stop, restart and inspect them."""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import uvicorn

from clary.serving.frames import Decoder, Frame, pack

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
KEY, OTHER_KEY = "AKIATESTTESTTESTTEST", "AKIAOTHEROTHEROTHERX"
SECRET = "s3cret/with+signs"
IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    "<Arn>arn:aws:sts::{account}:assumed-role/R/s</Arn><UserId>U</UserId><Account>{account}</Account>"
    "</GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
    "</GetCallerIdentityResponse>"
)


@dataclass
class Neighbours:
    """What the control plane's records say."""

    credentials: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {KEY: {"secret": SECRET, "account": ACCOUNT}}
    )
    buckets: dict[str, str] = field(default_factory=dict)
    routes: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, str] = field(
        default_factory=lambda: {
            "endpoint": "http://127.0.0.1:9",
            "access_key": "admin",
            "secret_key": "admin",
            "region": "us-east-1",
        }
    )

    def route(self, endpoint: str, *addresses: Path, account: str = ACCOUNT, **variants: Any) -> None:
        """Give an endpoint one variant, or the named ones."""
        if not variants:
            variants = {"AllTraffic": (1.0, addresses)}
        self.routes[f"{account}/us-east-1/{endpoint}"] = {
            "status": "InService",
            "variants": [
                {
                    "name": name,
                    "weight": weight,
                    "replicas": [{"id": str(n), "address": str(one)} for n, one in enumerate(sockets)],
                }
                for name, (weight, sockets) in variants.items()
            ],
        }


class Control:
    """A control plane: records, pushes, and an echo of everything else."""

    def __init__(self, path: Path, neighbours: Neighbours) -> None:
        self.path = path
        self.neighbours = neighbours
        self.asked: list[str] = []
        """Internal paths, in order."""
        self.requests: list[dict[str, Any]] = []
        """The rest: method, path, query, headers, body."""
        self.n_watchers = 0
        self.delay_s = 0.0
        self._watchers: set[asyncio.Queue[bytes]] = set()
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        config = uvicorn.Config(
            self._answer,
            uds=str(self.path),
            log_level="error",
            access_log=False,
            lifespan="off",
            interface="asgi3",
        )
        server = self._server = uvicorn.Server(config)
        config.timeout_graceful_shutdown = 1

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await server.serve()

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self._thread.start()
        for _ in range(2000):
            if server.started:
                return
            self._thread.join(0.005)
        raise AssertionError("the control plane did not start")

    def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        self.path.unlink(missing_ok=True)

    def push(self, kind: str, key: str, value: object) -> None:
        line = json.dumps({"kind": kind, "key": key, "value": value}).encode() + b"\n"
        assert self._loop is not None
        for queue in tuple(self._watchers):
            self._loop.call_soon_threadsafe(queue.put_nowait, line)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["raw_path"].decode().partition("?")[0]
        if path == "/internal/watch":
            await self._watch(send)
            return
        if path.startswith("/internal/"):
            self.asked.append(path)
            found = self._record(*path.split("/")[2:])
            await _send(send, 404 if found is None else 200, json.dumps(found).encode(), b"application/json")
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        request = {
            "method": scope["method"],
            "path": path,
            "query": scope["query_string"].decode(),
            "headers": headers,
            "body": body.decode("latin-1"),
        }
        self.requests.append(request)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if b"Action=GetCallerIdentity" in body:
            await _send(send, 200, IDENTITY.format(account=ACCOUNT).encode(), b"text/xml")
        elif "/s3/aws4_request" in dict(headers).get("authorization", ""):
            await _send(send, 200, b"", b"application/xml")
        elif path == "/_clary/stream":
            await _stream(send)
        else:
            await _send(send, 200, json.dumps(request).encode(), b"application/json")

    def _record(self, kind: str, *key: str) -> dict[str, Any] | None:
        known, name = self.neighbours, "/".join(map(unquote, key))
        match kind:
            case "credential":
                found = known.credentials.get(name)
                defaults = {"principal": "arn:aws:iam::1:root", "session_token": None, "expires_ms": None}
                return found and {**defaults, **found}
            case "bucket":
                return {"account": known.buckets[name]} if name in known.buckets else None
            case "route":
                return known.routes.get(name)
            case "objects":
                return dict(known.objects)
        return None

    async def _watch(self, send: Any) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._watchers.add(queue)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"kind":"ping"}\n', "more_body": True})
        self.n_watchers += 1
        try:
            while self._server is not None and not self._server.should_exit:
                try:
                    line = await asyncio.wait_for(queue.get(), 0.05)
                except TimeoutError:
                    continue
                await send({"type": "http.response.body", "body": line, "more_body": True})
        finally:
            self._watchers.discard(queue)


async def _send(send: Any, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), (b"x-from", b"control")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for n in range(3):
        await send({"type": "http.response.body", "body": b"line %d\n" % n, "more_body": True})
        await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b""})


Behaviour = Callable[[Frame, Callable[[bytes], None], Callable[[], None]], None]
"""Takes a request, a way to send bytes, and a way to close the connection."""


def echo(frame: Frame, write: Callable[[bytes], None], _close: Callable[[], None]) -> None:
    header = {"status": 200, "content_type": frame.header.get("content_type")}
    if "attributes" in frame.header:
        header["attributes"] = frame.header["attributes"]
    write(pack(frame.request_id, header, frame.body))


class Replica:
    """A model server that speaks in frames; an echo unless told otherwise."""

    def __init__(self, path: Path, behave: Behaviour = echo) -> None:
        self.path = path
        self.behave = behave
        self.frames: list[Frame] = []
        self.n_connections = 0

    def start(self) -> None:
        is_up = threading.Event()

        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            server = await asyncio.start_unix_server(self._talk, str(self.path))
            is_up.set()
            await self._stop.wait()
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0)

        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self._thread.start()
        assert is_up.wait(10)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        self._writers.add(writer)
        decoder = Decoder()
        try:
            while chunk := await reader.read(65536):
                for frame in decoder.feed(chunk):
                    self.frames.append(frame)
                    self.behave(frame, writer.write, writer.transport.abort)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
        self.path.unlink(missing_ok=True)
