"""The stream by which edges learn that a cached entry changed."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from clary.gateway.control.stream import Receive, Send, gone

PING_S = 5.0
MAX_BACKLOG = 10_000
"""Lines that a slow edge may be behind; past that its stream is cut, and it drops its caches."""


class Watch:
    """Every edge's stream; `publish` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self._peers = b""

    def publish(self, kind: str, key: str, value: Mapping[str, Any] | None) -> None:
        """Tell every edge that `kind` `key` now is `value`."""
        line = json.dumps({"kind": kind, "key": key, "value": value}).encode() + b"\n"
        self._loop.call_soon_threadsafe(self._spread, line)

    def introduce(self, peers: Sequence[Mapping[str, str]]) -> None:
        """Tell every edge, and each that comes later, where the edges of other nodes are; from any thread."""
        document = {"kind": "peers", "key": "", "value": {"peers": list(peers)}}
        self._peers = json.dumps(document).encode() + b"\n"
        self._loop.call_soon_threadsafe(self._spread, self._peers)

    def _spread(self, line: bytes | None) -> None:
        for queue in list(self._queues):
            if queue.qsize() > MAX_BACKLOG:
                queue.put_nowait(None)
                self._queues.discard(queue)
            else:
                queue.put_nowait(line)

    def cut(self) -> None:
        """End every stream: edges come again, and doubt what they have cached; from any thread."""
        self._loop.call_soon_threadsafe(self._spread, None)

    async def close(self) -> None:
        """End every stream."""
        self._spread(None)

    async def stream(self, receive: Receive, send: Send) -> None:
        """Answer one edge for as long as it listens."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queues.add(queue)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/x-ndjson")],
            }
        )
        leaving = asyncio.ensure_future(gone(receive))
        leaving.add_done_callback(lambda _: queue.put_nowait(None))  # at once, not at the next ping
        try:
            first = self._peers or b'{"kind": "ping"}\n'
            await send({"type": "http.response.body", "body": first, "more_body": True})
            while not leaving.done():
                try:
                    line = await asyncio.wait_for(queue.get(), PING_S)
                except TimeoutError:
                    line = b'{"kind": "ping"}\n'
                if line is None:
                    break
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            self._queues.discard(queue)
