"""One exchange passed through one connection to a neighbour, neither side faster than the other."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.head import Lines
from clary.gateway.edge.upstream import Pool, Upstream

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers of one connection, not of the request; framing is written anew for each side."""

RETRY_AFTER = b"retry-after: 1\r\n"
UNWELL = 500
_PAUSES_S = (0.02, 0.05, 0.1, 0.2)


class Alter(Protocol):
    """Rewrites a body on its way to the neighbour."""

    def feed(self, chunk: bytes) -> bytes:
        """Return what `chunk` becomes; raises to refuse the request."""

    def feed_end(self) -> bytes:
        """Return what follows the last piece; raises to refuse the request."""


class Refused(Exception):  # noqa: N818 - a verdict on a body, not a fault of ours
    """An `Alter` refuses the body; carries the answer."""

    def __init__(self, status: int, lines: bytes, body: bytes) -> None:
        super().__init__(status)
        self.status, self.lines, self.body = status, lines, body


def framing(exchange: Exchange) -> bytes:
    """Return the header that frames `exchange`'s body as it came."""
    head = exchange.head
    if head.chunked:
        return b"transfer-encoding: chunked\r\n"
    if head.length or head.method in {"POST", "PUT", "PATCH"}:
        return b"content-length: %d\r\n" % (head.length or 0)
    return b""


def passed_on(lines: Lines, dropped: frozenset[bytes] = HOP_BY_HOP) -> bytes:
    """Return headers as on the wire, those of the connection left out."""
    return b"".join(b"%b: %b\r\n" % (name, value) for name, value in lines if name.lower() not in dropped)


class AtMost:
    """Lets a body through unchanged, up to a size."""

    def __init__(self, limit: int, refused: Refused) -> None:
        self._left = limit
        self._refused = refused

    def feed(self, chunk: bytes) -> bytes:
        """Return `chunk`; raises what it was given once the body is too long."""
        self._left -= len(chunk)
        if self._left < 0:
            raise self._refused
        return chunk

    def feed_end(self) -> bytes:
        """Add nothing."""
        return b""


class Relay:
    """Sink of an exchange and listener of an upstream at once."""

    def __init__(
        self,
        exchange: Exchange,
        upstream: Upstream,
        *,
        is_chunked: bool,
        alter: Alter | None = None,
        hears: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._exchange = exchange
        self._hears = hears
        self._upstream = upstream
        self._is_chunked = is_chunked
        self._alter = alter
        self._is_sent = False
        self._is_done = False
        self.over: asyncio.Future[ConnectionError | None] = asyncio.get_running_loop().create_future()
        """None when the exchange is answered; else why not, and nothing has been sent to the client."""

    def start(self, head: bytes) -> None:
        """Send the request."""
        self._upstream.ask(self, self._exchange.head.method, head)
        self._exchange.stream(self)

    def _settle(self, error: ConnectionError | None = None) -> None:
        self._is_done = True
        if not self.over.done():
            self.over.set_result(error)

    # From the client.

    def feed(self, chunk: bytes) -> None:
        """Pass a piece of the body on."""
        if self._is_done:
            return
        if self._alter is not None:
            try:
                chunk = self._alter.feed(chunk)
            except Refused as refused:
                self.refuse(refused.status, refused.lines, refused.body)
                return
        self._send(chunk)

    def feed_end(self) -> None:
        """Pass the end of the body on."""
        if self._is_done:
            return
        if self._alter is not None:
            try:
                self._send(self._alter.feed_end())
            except Refused as refused:
                self.refuse(refused.status, refused.lines, refused.body)
                return
        self._is_sent = True
        if self._is_chunked:
            self._upstream.write(b"0\r\n\r\n")

    def _send(self, chunk: bytes) -> None:
        if not chunk:
            return
        if self._is_chunked:
            self._upstream.writelines((b"%x\r\n" % len(chunk), chunk, b"\r\n"))
        else:
            self._upstream.write(chunk)

    def refuse(self, status: int, lines: bytes, body: bytes) -> None:
        """Answer in the neighbour's place; it sees the request break off."""
        self._upstream.abort()
        self._settle()
        if self._exchange.has_started:
            self._exchange.break_off()
        else:
            self._exchange.answer(status, lines, body)

    def gone(self) -> None:
        """Drop everything: the client went away, or was answered by another."""
        if not self._is_done:
            self._upstream.abort()
            self._settle()

    def client_full(self) -> None:
        """Let the neighbour wait."""
        self._upstream.hold()

    def client_ready(self) -> None:
        """Let the neighbour go on."""
        self._upstream.release()

    # From the neighbour.

    def answer_head(self, status: int, lines: Lines, length: int | None) -> None:
        """Pass the answer's head on, or let the request be sent again."""
        if not self._hears(status):
            self._upstream.abort()
            self._exchange.unstream()
            self._settle(Unwell(f"answered {status}"))
            return
        self._exchange.begin(status, passed_on(lines), length)

    def answer_body(self, chunk: bytes) -> None:
        """Pass a piece of the answer on."""
        self._exchange.write(chunk)

    def answer_end(self) -> None:
        """Pass the end of the answer on."""
        if not self._is_sent:
            self._upstream.is_reusable = False  # answered early: the rest of the request is still owed to it
        self._settle()
        self._exchange.end()

    def lost(self, error: ConnectionError) -> None:
        """Hear that the neighbour is gone."""
        if self._exchange.has_started:
            self._exchange.break_off()
            self._settle()
        else:
            self._exchange.unstream()
            self._settle(error)

    def upstream_full(self) -> None:
        """Let the client wait."""
        self._exchange.hold()

    def upstream_ready(self) -> None:
        """Let the client go on."""
        self._exchange.release()


class Away(ConnectionError):  # noqa: N818 - where it is, not what went wrong
    """The neighbour does not answer, and did not come back in time."""


class Unwell(ConnectionError):  # noqa: N818 - how it is, not what went wrong
    """The neighbour answers that something is wrong with it."""


async def connect(pool: Pool, patience_s: float) -> Upstream:
    """Return a connection, waiting for a neighbour that is restarting.

    Raises
    ------
    Away
        It did not come back within `patience_s`.
    """
    loop = asyncio.get_running_loop()
    deadline, turn = loop.time() + patience_s, 0
    while True:
        try:
            return await pool.take()
        except OSError as error:
            pause_s = _PAUSES_S[min(turn, len(_PAUSES_S) - 1)]
            turn += 1
            if loop.time() + pause_s > deadline:
                raise Away(str(error)) from error
            await asyncio.sleep(pause_s)


async def forward(
    exchange: Exchange,
    pool: Callable[[], Pool],
    head: Callable[[], bytes],
    *,
    patience_s: float,
    answer_s: float,
    may_repeat: bool,
    is_chunked: bool,
    alter: Callable[[], Alter] | None = None,
    unwell_s: float = 0.0,
) -> None:
    """Pass `exchange` to a neighbour; again, when it dies before it answers and the request allows it.

    `head` and `alter` are called for each try: a signature carries the time, a rewriter its place.
    For `unwell_s` an answer of 500 counts as none.

    Raises
    ------
    Away
        The neighbour cannot be had, or died with the request; nothing was sent to the client.
    TimeoutError
        No byte from the neighbour within `answer_s`; nothing was sent to the client.
    """
    loop = asyncio.get_running_loop()
    deadline, unwell = loop.time() + patience_s, loop.time() + unwell_s

    def hears(status: int) -> bool:
        return status != UNWELL or loop.time() >= unwell or not (may_repeat and exchange.is_replayable)

    turn = 0
    while True:
        source = pool()
        upstream = await connect(source, max(0.0, deadline - loop.time()))
        if exchange.is_gone:
            source.give(upstream)
            return
        given = alter() if alter else None
        relay = Relay(exchange, upstream, is_chunked=is_chunked, alter=given, hears=hears)
        relay.start(head())
        error = await _settled(relay, exchange, upstream, answer_s)
        if error is None:
            source.give(upstream)
            return
        if not exchange.is_replayable or not may_repeat or loop.time() > deadline:
            raise Away(str(error)) from error
        await asyncio.sleep(_PAUSES_S[min(turn, len(_PAUSES_S) - 1)])
        turn += 1


async def _settled(
    relay: Relay, exchange: Exchange, upstream: Upstream, answer_s: float
) -> ConnectionError | None:
    """Wait for the end of an exchange; break it off when the neighbour stays silent for `answer_s`."""
    while True:
        try:
            done, _ = await asyncio.wait((relay.over,), timeout=answer_s)
        except asyncio.CancelledError:
            upstream.abort()
            raise
        if done:
            return relay.over.result()
        if upstream.clock() - upstream.seen < answer_s:
            continue
        upstream.abort()
        if exchange.has_started:
            exchange.break_off()
            return None
        exchange.unstream()
        raise TimeoutError(f"no answer within {answer_s:g} s")
