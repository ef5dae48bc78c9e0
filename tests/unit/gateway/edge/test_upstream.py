"""A connection to a neighbour, from one request to the next."""

import asyncio

from clary.gateway.edge.head import Lines
from clary.gateway.edge.upstream import Upstream


class Pipe(asyncio.Transport):
    """A transport that remembers what was written and whether it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True
        self.written = b""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take the limits."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class Client:
    """Whoever asked; it is too slow for the end of its answer."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.body = b""
        self.is_over = False

    def answer_head(self, status: int, lines: Lines, length: int | None) -> None:
        assert status == 200

    def answer_body(self, chunk: bytes) -> None:
        self.body += chunk
        self.upstream.hold()

    def answer_end(self) -> None:
        self.is_over = True

    def lost(self, error: ConnectionError) -> None:
        raise error

    def upstream_full(self) -> None:
        """Take no notice."""

    def upstream_ready(self) -> None:
        """Take no notice."""


def test_a_connection_held_by_its_last_client_is_read_again_for_the_next() -> None:
    upstream, pipe = Upstream(lambda: 0.0), Pipe()
    upstream.connection_made(pipe)
    first = Client(upstream)
    upstream.ask(first, "GET", b"GET /a HTTP/1.1\r\n\r\n")
    upstream.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc")
    assert first.is_over
    assert first.body == b"abc"
    assert not pipe.reads
    upstream.ask(Client(upstream), "HEAD", b"HEAD /a HTTP/1.1\r\n\r\n")
    assert pipe.reads
