"""HTTP/1.1 towards a neighbour: one connection, one request at a time, and a pool of them."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from clary.gateway.edge.exchange import BODYLESS
from clary.gateway.edge.head import Lines

WRITE_BUFFER_BYTES = 1024 * 1024
"""Request bytes queued for a neighbour before the client is asked to wait."""
PLAIN_BYTES = 64 * 1024
"""Rest of a body from which on it goes past the parser."""


class UpstreamLost(ConnectionError):  # noqa: N818 - as Away
    """The neighbour closed the connection, or spoke something else than HTTP/1.1."""


class Listener(Protocol):
    """Hears a neighbour's answer, and how it takes the request."""

    def answer_head(self, status: int, lines: Lines, length: int | None) -> None:
        """Take the answer's head; `length` None when not told."""

    def answer_body(self, chunk: bytes) -> None:
        """Take a piece of the answer's body."""

    def answer_end(self) -> None:
        """Hear that the answer is complete."""

    def lost(self, error: ConnectionError) -> None:
        """Hear that the connection ended before the answer did."""

    def upstream_full(self) -> None:
        """Hear that the neighbour takes the request slower than it comes."""

    def upstream_ready(self) -> None:
        """Hear that it has caught up."""


class Upstream(asyncio.Protocol):
    """One connection to a neighbour."""

    __slots__ = (
        "_bodyless",
        "_ends_at_close",
        "_head_seen",
        "_is_plain",
        "_keeps",
        "_lines",
        "_listener",
        "_n_left",
        "_parser",
        "_status",
        "_transport",
        "clock",
        "is_lost",
        "is_reusable",
        "seen",
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.seen = clock()
        """When the neighbour last sent or took something."""
        self.is_lost = False
        self.is_reusable = False
        """The last answer ended well, and another request may follow."""
        self._listener: Listener | None = None
        self._bodyless = False
        self._head_seen = False
        self._ends_at_close = False
        self._status = 0
        self._n_left = 0
        self._is_plain = False
        self._keeps = False
        self._lines: Lines = []
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def ask(self, listener: Listener, method: str, head: bytes) -> None:
        """Send a request's head; the answer goes to `listener`."""
        self._listener = listener
        self._bodyless = method == "HEAD"
        self._head_seen = self._ends_at_close = self._is_plain = self.is_reusable = False
        self._n_left = 0
        self.seen = self.clock()
        self.release()  # the last answer may have ended while its client was still full
        self._transport.write(head)

    def write(self, chunk: bytes) -> None:
        """Send a piece of the request's body."""
        self.seen = self.clock()
        self._transport.write(chunk)

    def writelines(self, chunks: tuple[bytes, ...]) -> None:
        """Send pieces of the request's body."""
        self.seen = self.clock()
        self._transport.writelines(chunks)

    def hold(self) -> None:
        """Stop reading the answer."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def release(self) -> None:
        """Read the answer on."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once, silently."""
        self._listener = None
        self.is_lost = True
        self._transport.abort()

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer."""
        self.seen = self.clock()
        if self._listener is None:
            self.abort()  # bytes that nobody asked for
            return
        if self._is_plain or self._n_left >= PLAIN_BYTES:
            self._take_plain(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._listener is not None:
                self._fail(UpstreamLost(f"the answer is not HTTP/1.1: {error.__context__ or error}"))

    def _take_plain(self, data: bytes) -> None:
        """Take a piece of a long body past the parser, which would copy it."""
        self._is_plain = True
        surplus = len(data) - self._n_left
        if surplus > 0:
            data = data[: self._n_left]
        self._n_left -= len(data)
        if self._listener is not None:
            self._listener.answer_body(data)
        if not self._n_left:
            self._is_plain = False
            self._parser = httptools.HttpResponseParser(self)
            self._over(reusable=self._keeps and surplus <= 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that the connection is gone."""
        self.is_lost = True
        if self._listener is None:
            return
        if self._head_seen and self._ends_at_close and exc is None:
            self._over()
        else:
            self._fail(UpstreamLost(str(exc) if exc else "closed before the answer was complete"))

    def pause_writing(self) -> None:
        """Hear that the neighbour takes no more for now."""
        if self._listener is not None:
            self._listener.upstream_full()

    def resume_writing(self) -> None:
        """Hear that it takes more again."""
        self.seen = self.clock()
        if self._listener is not None:
            self._listener.upstream_ready()

    # The parser.

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._lines = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are dropped."""
        if not self._head_seen:
            self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        """Take an answer's head."""
        self._status = status = self._parser.get_status_code()
        if status < 200 or self._listener is None:
            return
        length: int | None = None
        is_chunked = False
        for name, value in self._lines:
            lower = name.lower()
            if lower == b"content-length":
                length = int(value)
            elif lower == b"transfer-encoding":
                is_chunked = True
        self._bodyless = self._bodyless or status in BODYLESS
        self._ends_at_close = length is None and not is_chunked and not self._bodyless
        self._head_seen = True
        self._n_left = 0 if self._bodyless else length or 0
        self._keeps = self._parser.should_keep_alive() and not self._ends_at_close
        self._listener.answer_head(status, self._lines, length)
        if self._bodyless:
            # The parser cannot know that this answer has no body; the next one gets a parser of its own.
            self._parser = httptools.HttpResponseParser(self)
            self._over(reusable=self._keeps)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the answer's body."""
        self._n_left -= len(body)
        if self._listener is not None:
            self._listener.answer_body(body)

    def on_message_complete(self) -> None:
        """Take the answer's end."""
        if self._status >= 200 and self._listener is not None:
            self._over(reusable=self._keeps)

    def _over(self, *, reusable: bool = False) -> None:
        listener, self._listener = self._listener, None
        self.is_reusable = reusable and not self.is_lost
        if listener is not None:
            listener.answer_end()

    def _fail(self, error: UpstreamLost) -> None:
        listener, self._listener = self._listener, None
        self.is_lost = True
        self._transport.abort()
        if listener is not None:
            listener.lost(error)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a neighbour listens: a unix socket, or a host and port."""

    path: str = ""
    host: str = ""
    port: int = 0
    is_tls: bool = False


class Pool:
    """Connections to one neighbour, those at rest ready for the next request."""

    def __init__(
        self,
        address: Address,
        clock: Callable[[], float],
        *,
        rest_s: float,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self._clock = clock
        self._rest_s = rest_s
        self._at_rest: list[Upstream] = []
        self._context = context or (ssl.create_default_context() if address.is_tls else None)

    async def take(self) -> Upstream:
        """Return a connection that nobody uses.

        Raises
        ------
        OSError
            The neighbour does not listen.
        """
        while self._at_rest:
            upstream = self._at_rest.pop()
            if not upstream.is_lost and self._clock() - upstream.seen < self._rest_s:
                return upstream
            upstream.abort()
        return await self.open()

    async def open(self) -> Upstream:
        """Return a new connection."""
        loop, address = asyncio.get_running_loop(), self.address
        upstream = Upstream(self._clock)
        if address.path:
            await loop.create_unix_connection(lambda: upstream, address.path)
        else:
            await loop.create_connection(lambda: upstream, address.host, address.port, ssl=self._context)
        return upstream

    def give(self, upstream: Upstream) -> None:
        """Take a connection back."""
        if upstream.is_reusable and not upstream.is_lost:
            upstream.seen = self._clock()
            self._at_rest.append(upstream)
        else:
            upstream.abort()

    def sweep(self) -> None:
        """Close those that rested too long: the neighbour would, perhaps under a request."""
        now = self._clock()
        rested = [each for each in self._at_rest if each.is_lost or now - each.seen >= self._rest_s]
        for each in rested:
            self._at_rest.remove(each)
            each.abort()

    def close(self) -> None:
        """Close every connection at rest."""
        while self._at_rest:
            self._at_rest.pop().abort()
