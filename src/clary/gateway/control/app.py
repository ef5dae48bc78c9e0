"""The control plane's ASGI application: five kinds of path, one thread pool.

/_clary/console…  the browser's
/_clary/…    public: agents' reports, jobs' credentials, health
/v2/…        the registry of images
/internal/…  the edge's and the command line's, on the unix socket alone
all else     AWS: the chain in `chain`
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from clary.gateway.control.chain import Chain
from clary.gateway.control.console import ConsoleDoor
from clary.gateway.control.internal import Internal
from clary.gateway.control.notebooks import Notebooks
from clary.gateway.control.platform import Platform
from clary.gateway.control.reports import Reports
from clary.gateway.control.stream import Receive, Send, send_pieces
from clary.gateway.control.watch import Watch
from clary.gateway.mlflow.app import Mlflow
from clary.gateway.registry.app import Registry
from clary.gateway.registry.door import Door
from clary.kernel.settings import Settings
from clary.wire.http import Request, Response

Scope = MutableMapping[str, Any]

log = logging.getLogger("clary.control")

THREADS = 32


def create() -> "Control":
    """Return the application with settings from the environment, for `uvicorn --factory`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return Control(Settings.load())


class Control:
    """The ASGI application."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="call")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self._watch = Watch(asyncio.get_running_loop())
            self._platform = await asyncio.to_thread(Platform.start, self._settings, self._watch)
            chain = Chain(self._platform)
            console = ConsoleDoor(self._platform, chain)
            self._routes: tuple[tuple[str, Callable[[Request], Response]], ...] = (
                ("/_clary/console", console.answer),
                ("/_clary/mlflow/", Mlflow(self._platform).answer),
                ("/_clary/notebook/", Notebooks(self._platform).answer),
                ("/_clary/", Reports(self._platform).answer),
                ("/v2", Registry(self._platform).answer),
                ("/internal/registry/", Door(self._platform).answer),
                ("/internal/", Internal(self._platform, console).answer),
                ("/", chain.answer),
            )
        except Exception as error:
            log.exception("the control plane could not start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._watch.close()
        await asyncio.to_thread(self._platform.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1")
        if path == "/internal/watch":
            await self._watch.stream(receive, send)
            return
        request = Request(
            method=scope["method"],
            path=path,
            query=scope["query_string"].decode("latin-1"),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            body=await _body(receive),
        )
        answer = next(answer for prefix, answer in self._routes if path.startswith(prefix))
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(self._pool, answer, request)
        await send(
            {"type": "http.response.start", "status": response.status, "headers": list(_raw(response))}
        )
        if response.pieces is not None:
            await send_pieces(response.pieces, receive, send)
        else:
            await send({"type": "http.response.body", "body": response.body})


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)


def _raw(response: Response) -> Iterable[tuple[bytes, bytes]]:
    yield from (
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()
    )
    if response.pieces is None and not any(name.lower() == "content-length" for name in response.headers):
        yield b"content-length", str(len(response.body)).encode()
