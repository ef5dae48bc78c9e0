"""Edges of other nodes: what they can answer and this one cannot is passed on, as its client signed it.

invocation ─▶ verified here ─▶ route says `away` ─▶ that node's edge: verifies, asks its replica ─▶ answer
request ────▶ the own control plane is away ──────▶ another node's edge ─▶ its control plane ────▶ answer
                                                    └ what was passed on is not passed on again
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from clary.gateway.edge import faults
from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.head import Lines
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.relay import passed_on
from clary.gateway.edge.upstream import Address, Pool, Upstream

PASSED_ON = "x-clary-passed-on"
"""Header of an invocation that another edge has passed on."""
_MARK = PASSED_ON.encode()
REST_S = 60.0
"""That an unused connection is kept; below the 75 s of an edge."""
MARGIN_S = 5.0
"""Over the time that the other edge gives its replica."""
CONNECT_S = 1.0
"""For a connection to another node, where a third may do as well."""
PAUSE_S = 0.05
"""Between two looks for somebody who answers."""


class Peers:
    """Connections to the edges of other nodes, by their URL and authority."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self._pools: dict[tuple[str, str], Pool] = {}

    async def pass_on(self, exchange: Exchange, away: Mapping[str, str], body: bytes) -> None:
        """Have another node's edge answer."""
        if not away["url"] or PASSED_ON in exchange.head.fields:
            exchange.answer(*faults.busy("The endpoint's node is lost; its replicas start on another."))
            return
        pool = self.pool(away["url"], away["authority"])
        head = b"".join(
            (
                b"%b %b HTTP/1.1\r\n" % (exchange.head.method.encode(), exchange.head.target),
                passed_on(exchange.head.lines),
                b"%b: 1\r\ncontent-length: %d\r\n\r\n" % (_MARK, len(body)),
            )
        )
        try:
            await self._ask(exchange, pool, head + body)
        except (OSError, TimeoutError) as error:
            text = f"The endpoint's node at {away['url']} does not answer: {error or 'no answer in time'}."
            exchange.answer(*faults.busy(text))

    async def _ask(self, exchange: Exchange, pool: Pool, request: bytes) -> None:
        """Ask on a connection at rest, and once more on a new one where the other side had closed that."""
        for upstream in (await pool.take(), None):
            chosen = upstream or await pool.open()
            answer = Answer(exchange)
            chosen.ask(answer, exchange.head.method, request)
            try:
                error = await answer.over_in(self._limits.invocation_s + MARGIN_S, chosen)
            except BaseException:
                chosen.abort()
                raise
            if error is None:
                pool.give(chosen)
                return
            if upstream is None:
                raise error

    def pool(self, url: str, authority: str) -> Pool:
        """Return the connections to an edge."""
        pool = self._pools.get((url, authority))
        if pool is None:
            parts = urlsplit(url)
            is_tls = parts.scheme == "https"
            address = Address(host=parts.hostname or "", port=parts.port or (443 if is_tls else 80))
            context = _context(authority) if is_tls else None
            pool = Pool(address, self._clock, rest_s=REST_S, context=context)
            self._pools[url, authority] = pool
        return pool

    def sweep(self) -> None:
        """Close connections that rested too long."""
        for pool in self._pools.values():
            pool.sweep()

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()


class Nearest(Pool):
    """The own control plane; while it is away, the edges of other nodes. One for each request.

    Parameters
    ----------
    own : Pool
        Connections to the own control plane.
    others : iterable of Pool
        Connections to the other nodes' edges.
    """

    def __init__(self, own: Pool, others: Iterable[Pool]) -> None:
        self._own, self._others = own, others
        self._source = own

    @property
    def is_own(self) -> bool:
        """Whether the connection taken last is to the own control plane."""
        return self._source is self._own

    async def take(self) -> Upstream:
        """Return a connection to whoever can answer.

        Raises
        ------
        OSError
            Nobody can.
        """
        self._source = self._own
        try:
            return await self._own.take()
        except OSError as error:
            for each in self._others:
                with contextlib.suppress(OSError, TimeoutError):
                    upstream = await asyncio.wait_for(_well(each), CONNECT_S)
                    self._source = each
                    return upstream
            raise error

    def give(self, upstream: Upstream) -> None:
        """Take a connection back."""
        self._source.give(upstream)


async def someone_well(pools: Sequence[Pool], deadline: float) -> None:
    """Wait until a control plane answers, the own one or another node's, but not longer than till then."""
    loop = asyncio.get_running_loop()
    while loop.time() < deadline:
        for each in pools:
            with contextlib.suppress(OSError, TimeoutError):
                each.give(await asyncio.wait_for(_well(each), CONNECT_S))
                return
        await asyncio.sleep(PAUSE_S)


async def _well(pool: Pool) -> Upstream:
    """Return a connection to a control plane, or to an edge whose own one answers.

    Raises
    ------
    OSError
        It does not.
    """
    upstream = await pool.open()
    health = Health()
    try:
        upstream.ask(health, "GET", b"GET /_clary/health HTTP/1.1\r\nhost: peer\r\n%b: 1\r\n\r\n" % _MARK)
        status = await health.status
    except BaseException:
        upstream.abort()
        raise
    if status != 200 or not upstream.is_reusable:
        upstream.abort()
        raise ConnectionError(f"its control plane is away, too: {status}")
    return upstream


class Health:
    """Hears whether another node's control plane answers."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._status = 0

    def answer_head(self, status: int, _lines: Lines, _length: int | None) -> None:
        """Take the status."""
        self._status = status

    def answer_body(self, _chunk: bytes) -> None:
        """Take no notice."""

    def answer_end(self) -> None:
        """Tell the status: the connection is free now."""
        if not self.status.done():
            self.status.set_result(self._status)

    def lost(self, error: ConnectionError) -> None:
        """Tell that it does not."""
        if not self.status.done():
            self.status.set_exception(error)

    def upstream_full(self) -> None:
        """Take no notice."""

    def upstream_ready(self) -> None:
        """Take no notice."""


class Answer:
    """Passes another edge's answer to the client; a listener of its connection."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._over: asyncio.Future[ConnectionError | None] = asyncio.get_running_loop().create_future()

    async def over_in(self, patience_s: float, upstream: Upstream) -> ConnectionError | None:
        """Wait for the end; return what broke it off before a byte was passed on.

        Raises
        ------
        TimeoutError
            The other side was silent for so long.
        """
        while True:
            done, _ = await asyncio.wait((self._over,), timeout=patience_s)
            if done:
                return self._over.result()
            if upstream.clock() - upstream.seen >= patience_s:
                if self._exchange.has_started:
                    self._exchange.break_off()
                raise TimeoutError("no answer in time")

    def answer_head(self, status: int, lines: Lines, length: int | None) -> None:
        """Pass the head on."""
        if not self._exchange.is_gone:
            self._exchange.begin(status, passed_on(lines), length)

    def answer_body(self, chunk: bytes) -> None:
        """Pass a piece on."""
        if not self._exchange.is_gone:
            self._exchange.write(chunk)

    def answer_end(self) -> None:
        """Pass the end on."""
        if not self._exchange.is_gone:
            self._exchange.end()
        if not self._over.done():
            self._over.set_result(None)

    def lost(self, error: ConnectionError) -> None:
        """Hear that the other edge is gone."""
        if self._exchange.has_started:
            self._exchange.break_off()
        if not self._over.done():
            self._over.set_result(None if self._exchange.has_started else error)

    def upstream_full(self) -> None:
        """Let it come: an invocation's body is here already."""

    def upstream_ready(self) -> None:
        """Let it come."""


def _context(authority: str) -> ssl.SSLContext:
    """Return what trusts the system's authorities, and the other node's own."""
    context = ssl.create_default_context()
    if authority:
        context.load_verify_locations(cadata=authority)
    return context
