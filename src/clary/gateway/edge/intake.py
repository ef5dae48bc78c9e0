"""A client's bytes, read as HTTP/1.1: heads and bodies of requests, in their order.

bytes ──httptools──▶ head ──▶ begin ──▶ feed … feed_end     an exchange that runs, or waits its turn
                       └─ plain and known ──▶ express ──▶ answered in one go
"""

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING

import httptools

from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.express import MOST_BODY_BYTES, Shape
from clary.gateway.edge.head import Head
from clary.gateway.edge.limits import Limits

if TYPE_CHECKING:
    from clary.gateway.edge.server import Edge

_LOG = logging.getLogger(__name__)
PLAIN_BYTES = 64 * 1024
"""Rest of a body from which on it goes past the parser."""


class _TooLong(Exception):  # noqa: N818 - never leaves this file
    """The head is longer than the limit."""


class Intake(asyncio.Protocol):
    """The reading half of a connection; what becomes of a request is for the other half to say.

    That half, `Connection`, has the hooks `_begin`, `_invocation`, `_is_other`, `_upgrade` and `_refuse`.
    """

    __slots__ = (
        "_active",
        "_blocked_since",
        "_drops",
        "_edge",
        "_express",
        "_filling",
        "_head_bytes",
        "_head_since",
        "_in_head",
        "_is_fresh",
        "_is_plain",
        "_n_left",
        "_names",
        "_parser",
        "_pieces",
        "_seen",
        "_target",
        "_transport",
        "_values",
        "limits",
        "peer",
    )
    _transport: asyncio.Transport

    def __init__(self, edge: "Edge") -> None:
        self._edge = edge
        self.limits: Limits = edge.limits
        self.peer = ""
        self._active: Exchange | None = None
        """The one whose answer is due."""
        self._filling: Exchange | None = None
        """The one whose body comes in."""
        self._drops = False
        """Nothing that still comes is looked at."""
        self._is_fresh = True
        self._in_head = False
        self._is_plain = False
        self._n_left = 0
        self._names: list[bytes] = []
        self._values: list[bytes] = []
        self._pieces: list[bytes] = []
        self._express: Shape | None = None
        self._target = b""
        self._head_bytes = 0
        self._head_since = 0.0
        self._seen = edge.clock()
        self._blocked_since = 0.0
        self._parser = httptools.HttpRequestParser(self)

    # What the other half does.

    def _begin(self) -> None:
        """Have the request answered whose head is here."""
        raise NotImplementedError

    def _invocation(self, n_bytes: int) -> Exchange:
        """Return the exchange of an invocation whose body is here whole."""
        raise NotImplementedError

    def _is_other(self, data: bytes) -> bool:
        """Give away a connection whose first bytes speak another protocol."""
        raise NotImplementedError

    def _upgrade(self, rest: bytes) -> None:
        """Take what follows a request that asked for another protocol."""
        raise NotImplementedError

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what is not a request, and close."""
        raise NotImplementedError

    # Bytes.

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._seen = self._edge.clock()
        if self._is_fresh:
            self._is_fresh = False
            if self._is_other(data):
                return
        if self._drops:
            return
        if self._is_plain or self._n_left >= PLAIN_BYTES:
            self._take_plain(data)
            return
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__ or error
            if isinstance(cause, _TooLong):
                self._refuse(431, f"a request's head holds at most {self.limits.head_bytes} bytes")
                return
            _LOG.error("a request from %s failed in the edge", self.peer, exc_info=cause)
            self._refuse(500, "internal failure")
        except httptools.HttpParserError as error:
            self._refuse(400, f"not HTTP/1.1: {error}")
        else:
            if self._express is not None:
                self._leave_express()
            if self._in_head and self._head_bytes > self.limits.head_bytes:
                self._refuse(431, f"a request's head holds at most {self.limits.head_bytes} bytes")

    def _take_plain(self, data: bytes) -> None:
        """Take a piece of a long body past the parser, which would copy it."""
        self._is_plain = True
        rest = data[self._n_left :]
        if rest:
            data = data[: self._n_left]
        self._n_left -= len(data)
        if self._filling is not None:
            self._filling.feed(data)
        if not self._n_left:
            self._is_plain = False
            self._parser = httptools.HttpRequestParser(self)
            self.on_message_complete()
            if rest and not self._transport.is_closing():
                self.data_received(rest)

    # The parser.

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._names = []
        self._values = []
        self._target = b""
        self._in_head = True
        self._head_since = self._seen

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are dropped."""
        if self._filling is None:
            self._names.append(name)
            self._values.append(value)

    def on_headers_complete(self) -> None:
        """Take a whole head."""
        self._in_head = False
        parser, edge = self._parser, self._edge
        if (
            edge.is_express
            and self._active is None
            and not self._blocked_since
            and edge.express.is_target(self._target)
            and parser.get_method() == b"POST"
        ):
            shape = edge.express.shape(tuple(self._names))
            if shape.is_plain and parser.should_keep_alive():
                length = int(self._values[shape.length])
                if length <= MOST_BODY_BYTES and self._head_bytes <= self.limits.head_bytes:
                    self._n_left = length
                    self._express = shape
                    return
        if self._head_bytes > self.limits.head_bytes:
            pairs = zip(self._names, self._values, strict=True)
            if len(self._target) + sum(len(name) + len(value) + 4 for name, value in pairs) > (
                self.limits.head_bytes
            ):
                raise _TooLong
        self._begin()

    def _head(self) -> Head:
        parser = self._parser
        return Head(
            parser.get_method().decode("ascii"),
            self._target,
            list(zip(self._names, self._values, strict=True)),
            is_http10=parser.get_http_version() == "1.0",
            keeps_alive=parser.should_keep_alive(),
            upgrades=parser.should_upgrade(),
        )

    def _leave_express(self) -> None:
        """Go the long way: the body is not here to its end."""
        self._express = None
        n_left, pieces = self._n_left, self._pieces
        self._pieces = []
        self._begin()
        self._n_left = n_left
        for piece in pieces:
            if self._filling is not None:
                self._filling.feed(piece)

    def _go_express(self, shape: Shape) -> None:
        """Answer a whole request in one go, or have it answered with what is known of it already."""
        begun, express = perf_counter(), self._edge.express
        pieces, self._pieces = self._pieces, []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        leg = express.leg(shape, self._target, self._values, body)
        if leg is None:
            self._begin()
            exchange, self._filling = self._filling, None
            if exchange is not None:
                exchange.feed(body)
                exchange.feed_end()
            return
        answer = express.in_place(leg, shape, self._values, body, begun)
        if answer is not None:
            self._transport.write(answer)
            return
        exchange = self._active = self._invocation(len(body))
        express.send(exchange, leg, shape, self._values, body)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._n_left -= len(body)
        if self._express is not None:
            self._pieces.append(body)
        elif self._filling is not None:
            self._filling.feed(body)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        exchange, self._filling = self._filling, None
        self._head_bytes = 0
        shape, self._express = self._express, None
        if shape is not None:
            self._go_express(shape)
            return
        if exchange is not None:
            exchange.feed_end()
