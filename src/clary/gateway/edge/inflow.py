"""The body of an upload, taken off in segments as fast as they can be stored."""

import asyncio

from clary.gateway.edge.exchange import Exchange

SEGMENT_BYTES = 8 * 1024 * 1024


class Inflow:
    """Sink of an exchange; its client waits while a whole segment lies here."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._chunks: list[bytes] = []
        self._n = 0
        self._is_over = False
        self._changed = asyncio.Event()
        self.is_cut = False
        """The client left before the end; what came is here all the same."""

    async def segment(self) -> list[bytes]:
        """Return the next segment, in the chunks that it came in; empty after the last."""
        while self._n < SEGMENT_BYTES and not self._is_over:
            self._changed.clear()
            await self._changed.wait()
        chunks, self._chunks, self._n = self._chunks, [], 0
        self._exchange.release()
        return chunks

    def feed(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        self._chunks.append(chunk)
        self._n += len(chunk)
        if self._n >= SEGMENT_BYTES:
            self._exchange.hold()
            self._changed.set()

    def feed_end(self) -> None:
        """Hear that the body is complete."""
        self._is_over = True
        self._changed.set()

    def gone(self) -> None:
        """Hear that the client went away."""
        self.is_cut = not self._is_over
        self.feed_end()

    def client_full(self) -> None:
        """Ignore it: nothing is answered yet."""

    def client_ready(self) -> None:
        """Ignore it."""
