"""Containers as the edge asks them: over kept connections, whole or in parts."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from clary.compute import linux
from clary.gateway.edge.http_replicas import ContainerConnection, header_of
from clary.gateway.edge.replicas import Replicas
from clary.serving.frames import Frame, head

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


class Heard:
    """An asker that remembers what it heard."""

    def __init__(self, body: bytes = b"a,b") -> None:
        self.body = body
        self.deadline = float("inf")
        self.frames: list[Frame] = []
        self.told: list[str] = []
        self.done = asyncio.Event()

    def answered(self, frame: Frame) -> None:
        self.frames.append(frame)
        if not frame.header.get("more"):
            self.done.set()

    def broken(self, reason: str) -> None:
        self.told.append(reason)
        self.done.set()

    def late(self) -> None:
        self.told.append("late")
        self.done.set()


class Server:
    """Answers each request of each connection by what `answers` has for it."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.n_connections = 0

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                length = int(request.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(request + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"\r\nContent-Length: 4\r\n" in answer:  # of the rude one
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nX-Amzn-SageMaker-Custom-Attributes: y\r\n"
    b"Content-Length: 2\r\n\r\nok"
)
RUDE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast"
REFUSED = b"HTTP/1.1 422 No\r\nContent-Length: 3\r\n\r\nbad"
PARTS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def asked(
    connection: ContainerConnection, members: dict[str, Any] | None = None, body: bytes = b"a,b"
) -> Heard:
    heard = Heard(body)
    connection.ask(heard, head(members or {}), 0.0)
    async with asyncio.timeout(10):
        await heard.done.wait()
    return heard


async def listening(server: Server) -> tuple[asyncio.Server, str]:
    found = await asyncio.start_server(server.attend, "127.0.0.1", 0)
    return found, f"http://127.0.0.1:{found.sockets[0].getsockname()[1]}"


async def test_a_question_becomes_a_post_and_the_answer_a_frame() -> None:
    server = Server(OK, REFUSED)
    door, address = await listening(server)
    async with door:
        replicas = Replicas(rest_s=60.0)
        connection = await replicas.connect(address)
        assert isinstance(connection, ContainerConnection)
        heard = await asked(connection, {"content_type": "text/csv", "accept": "x/y", "attributes": "z"})
        lines = server.requests[0].split(b"\r\n")
        assert lines[0] == b"POST /invocations HTTP/1.1"
        assert {b"Content-Type: text/csv", b"Accept: x/y", b"X-Amzn-SageMaker-Custom-Attributes: z"} <= set(
            lines
        )
        assert lines[-1] == b"a,b"
        assert heard.frames[0].body == b"ok"
        assert heard.frames[0].header == {"status": 200, "content_type": "text/csv", "attributes": "y"}
        refused = await asked(connection)
        assert (refused.frames[0].header["status"], refused.frames[0].body) == (422, b"bad")
        assert server.n_connections == 1
        assert replicas.load(address) == 0
        replicas.close()


async def test_an_answer_comes_in_parts_where_they_are_taken() -> None:
    server = Server(PARTS, PARTS)
    door, address = await listening(server)
    async with door:
        connection = ContainerConnection(address)
        heard = await asked(connection, {"stream": True})
        assert [frame.body for frame in heard.frames if frame.body] == [b"one", b"two"]
        assert not heard.frames[-1].header.get("more")
        whole = await asked(connection)
        assert [frame.body for frame in whole.frames] == [b"onetwo"]
        connection.close()


async def test_a_connection_that_was_closed_at_rest_is_replaced() -> None:
    server = Server(RUDE, OK)
    door, address = await listening(server)
    async with door:
        connection = ContainerConnection(address)
        assert (await asked(connection)).frames[0].body == b"last"
        assert (await asked(connection)).frames[0].body == b"ok"
        connection.close()


async def test_a_container_that_hangs_up_on_a_new_connection_is_broken() -> None:
    server = Server(None, None)
    door, address = await listening(server)
    async with door:
        connection = ContainerConnection(address)
        assert len((await asked(connection)).told) == 1
        assert connection.n_in_flight == 0
        connection.close()


async def test_nobody_listens() -> None:
    with pytest.raises(OSError, match="Connect"):
        await Replicas(rest_s=60.0).connect("http://127.0.0.1:1")


@pytest.mark.skipif(not linux.IS_LINUX, reason="stamps are of Linux")
async def test_an_address_that_became_another_containers_is_not_asked() -> None:
    server = Server(RUDE, OK, OK)
    door, address = await listening(server)
    async with door:
        with pytest.raises(ConnectionRefusedError, match="it has ended"):
            await Replicas(rest_s=60.0).connect(f"{address}#{os.getpid()}.1")
        stamp = linux.start_time(os.getpid())
        connection = ContainerConnection(f"{address}#{os.getpid()}.{stamp}")
        assert (await asked(connection)).frames[0].body == b"last"  # and hangs up
        connection.pool._replica = f"{address}#{os.getpid()}.1"  # its process ended meanwhile
        heard = await asked(connection)
        assert heard.told == ["its container does not listen (it has ended)"]
        assert len(server.requests) == 1
        connection.close()


async def test_an_answer_that_is_late_is_waited_for_no_longer() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    door = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with door:
        connection = ContainerConnection(f"http://127.0.0.1:{door.sockets[0].getsockname()[1]}")
        heard = Heard()
        heard.deadline = 5.0
        connection.ask(heard, head({}), 0.0)
        connection.sweep(6.0)
        assert heard.told == ["late"]
        assert connection.n_in_flight == 0
        connection.close()


def test_only_the_services_headers_go_back() -> None:
    lines = [(b"Server", b"x"), (b"X-Amzn-SageMaker-New-Session-Id", b"s"), (b"content-type", b"t")]
    assert header_of(200, lines) == {
        "status": 200,
        "content_type": "t",
        "headers": {"X-Amzn-SageMaker-New-Session-Id": "s"},
    }
