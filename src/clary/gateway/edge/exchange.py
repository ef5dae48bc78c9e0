"""One request and its answer, on one connection."""

from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from clary.gateway.edge.classify import Kind, Scope
from clary.gateway.edge.head import Head

if TYPE_CHECKING:
    from clary.gateway.edge.connection import Connection

BODYLESS = frozenset({204, 304})
SANDBOXED = b"content-security-policy: sandbox\r\nx-content-type-options: nosniff\r\n"
"""With every object: a page that lies in a bucket shares the console's address, and must not act as it."""
Whole = Callable[["Exchange", bytes | None], None]
"""Takes an exchange and its whole body; None instead when the body is too long."""


class Sink(Protocol):
    """Takes a request's body as it comes, and hears how its client fares."""

    def feed(self, chunk: bytes) -> None:
        """Take a piece of the body."""

    def feed_end(self) -> None:
        """Hear that the body is complete."""

    def gone(self) -> None:
        """Hear that the client went away."""

    def client_full(self) -> None:
        """Hear that the client does not take the answer as fast as it comes."""

    def client_ready(self) -> None:
        """Hear that it does again."""


@cache
def status_line(status: int) -> bytes:
    """Return the first line of an answer."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Status"
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


class Exchange:
    """A request on its way in, an answer on its way out.

    Its body goes to one of three places: whole to a function (`collect`), in pieces to a sink (`stream`),
    or nowhere, once the answer is out. Until one of the first two is named, what comes is held, and
    reading pauses when that grows large.
    """

    __slots__ = (
        "_chunks",
        "_connection",
        "_kept",
        "_limit",
        "_sink",
        "_then",
        "has_started",
        "head",
        "is_answered",
        "is_complete",
        "is_gone",
        "kind",
        "n_received",
        "n_sent",
        "signer",
        "since",
        "status",
    )

    def __init__(
        self, connection: "Connection", head: Head, kind: Kind, signer: Scope | None, since: float
    ) -> None:
        self._connection = connection
        self.head = head
        self.kind = kind
        """Who answers."""
        self.signer = signer
        """What the request says of its signer, not yet checked."""
        self.since = since
        self._kept: list[bytes] | None = []
        self._sink: Sink | None = None
        self._then: Whole | None = None
        self._limit = 0
        self._chunks = False
        self.n_received = 0
        self.n_sent = 0
        self.status = 0
        self.is_complete = False
        """The request is here to its last byte."""
        self.has_started = False
        """The answer's head is out."""
        self.is_answered = False
        """The answer is out to its last byte."""
        self.is_gone = False
        """The client went away; whatever is answered is lost."""

    @property
    def is_tunnel(self) -> bool:
        """What follows the head is no HTTP."""
        return self.kind is Kind.CONNECT or (self.kind is Kind.NOTEBOOK and self.head.upgrades)

    @property
    def peer(self) -> str:
        """Address of the client."""
        return self._connection.peer

    # The request's body, from the connection.

    def feed(self, chunk: bytes) -> None:
        """Take a piece of the body from the connection."""
        self.n_received += len(chunk)
        if self.is_answered:
            if self.n_received > self._connection.limits.discard_bytes:
                self._connection.close()
            return
        kept = self._kept
        if kept is not None:
            kept.append(chunk)
        if self._sink is not None:
            if kept is not None and self.n_received > self._connection.limits.replay_bytes:
                self._kept = None
            self._sink.feed(chunk)
        elif self._then is not None:
            if self.n_received > self._limit:
                self._then(self, None)
        elif self.n_received > self._connection.limits.buffer_bytes:
            self._connection.pause(self)

    def feed_end(self) -> None:
        """Take the end of the body from the connection."""
        self.is_complete = True
        if self.is_answered:
            self._connection.finished(self)
        elif self._sink is not None:
            self._sink.feed_end()
        elif self._then is not None:
            self._whole(self._then)

    def _whole(self, then: Whole) -> None:
        body = b"".join(self._kept or ())
        self._kept = None
        then(self, body)

    def collect(self, limit: int, then: Whole) -> None:
        """Call `then` with the whole body, or as soon as it is known to be longer than `limit`."""
        self._limit, self._then = limit, then
        if max(self.head.length or 0, self.n_received) > limit:
            then(self, None)
        elif self.is_complete:
            self._whole(then)
        else:
            self._connection.resume(self)

    def stream(self, sink: Sink) -> None:
        """Give the body to `sink`, what came already included; to another too, while `is_replayable`."""
        self._sink = sink
        for chunk in tuple(self._kept or ()):
            sink.feed(chunk)
        if self.n_received > self._connection.limits.replay_bytes:
            self._kept = None
        self._connection.resume(self)
        if self.is_complete:
            sink.feed_end()

    def unstream(self) -> None:
        """Hold the body again, until the next `stream`."""
        self._sink = None

    @property
    def is_replayable(self) -> bool:
        """The body, as far as it came, can be given to another sink from its first byte."""
        return self._kept is not None

    # The answer.

    def answer(self, status: int, lines: bytes = b"", body: bytes = b"") -> None:
        """Send a whole answer; `lines` are headers as on the wire, each ended by CRLF."""
        if self.has_started or self.is_gone:
            return
        self.has_started = True
        self.status = status
        bodyless = status in BODYLESS or self.head.method == "HEAD"
        length = b"" if status in BODYLESS else b"content-length: %d\r\n" % len(body)
        parts = (
            status_line(status),
            lines,
            length,
            self._connection.closing_line(self),
            b"" if bodyless else body,
        )
        self.n_sent = 0 if bodyless else len(body)
        self._connection.write(b"".join(parts))
        self._ended()

    def begin(self, status: int, lines: bytes, length: int | None) -> None:
        """Send an answer's head; `length` None when its body's length is not known."""
        self.has_started = True
        self.status = status
        self._kept = None
        if status in BODYLESS or self.head.method == "HEAD":
            framing = b"" if length is None else b"content-length: %d\r\n" % length
        elif length is not None:
            framing = b"content-length: %d\r\n" % length
        elif self.head.is_http10:
            framing = b""
            self._connection.close_after = True
        else:
            framing = b"transfer-encoding: chunked\r\n"
            self._chunks = True
        walls = SANDBOXED if self.kind is Kind.OBJECTS else b""
        self._connection.write(
            b"".join((status_line(status), lines, walls, framing, self._connection.closing_line(self)))
        )

    def write(self, chunk: bytes) -> None:
        """Send a piece of the answer's body."""
        self.n_sent += len(chunk)
        if self._chunks:
            self._connection.writelines((b"%x\r\n" % len(chunk), chunk, b"\r\n"))
        else:
            self._connection.write(chunk)

    def end(self) -> None:
        """Send the answer's end."""
        if self._chunks:
            self._connection.write(b"0\r\n\r\n")
        self._ended()

    def break_off(self) -> None:
        """Cut the connection: the answer under way cannot be completed, and the client must see that."""
        self._connection.abort()

    def _ended(self) -> None:
        self.is_answered = True
        sink, self._sink = self._sink, None
        self._then = self._kept = None
        if sink is not None:
            sink.gone()  # where the answer is not the sink's own
        self._connection.resume(self)
        self._connection.answered(self)
        if self.is_complete:
            self._connection.finished(self)

    # The client, from the connection.

    def left(self) -> None:
        """Hear from the connection that the client went away."""
        self.is_gone = True
        if self._sink is not None:
            self._sink.gone()

    def full(self) -> None:
        """Hear from the connection that the client takes no more for now."""
        if self._sink is not None:
            self._sink.client_full()

    def ready(self) -> None:
        """Hear from the connection that the client takes more again."""
        if self._sink is not None:
            self._sink.client_ready()

    def hold(self) -> None:
        """Stop reading the body: its destination is full."""
        self._connection.pause(self)

    def release(self) -> None:
        """Read the body on."""
        self._connection.resume(self)
