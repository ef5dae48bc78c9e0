"""Replicas of another node as the edge asks them: through that node's gate, and through no other."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from clary.compute import linux
from clary.compute.cluster import gated
from clary.compute.cluster.gate import Gate
from clary.gateway.edge import gates
from clary.gateway.edge.replicas import Replicas
from clary.serving.frames import Decoder, Frame, framed, head

RUN, HOST = "endpoint-1", "algo-1"


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
        self.done.set()

    def broken(self, reason: str) -> None:
        self.told.append(reason)
        self.done.set()

    def late(self) -> None:
        self.broken("late")


class Echo(asyncio.Protocol):
    """A replica that answers with what it is asked, and ends when it is told to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.decoder = Decoder()
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        for frame in self.decoder.feed(data):
            if frame.body == b"end":
                self.transport.abort()
                return
            self.transport.write(b"".join(framed(frame.request_id, head({"status": 200}), frame.body)))


@pytest.fixture
def home() -> Iterator[Path]:
    """Yield a host's folder, by a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="cg", dir="/tmp") as runs:
        home = Path(runs, RUN, "hosts", HOST)
        home.mkdir(parents=True)
        yield home


@pytest.fixture
def gate(home: Path) -> Iterator[Gate]:
    made = Gate(home.parents[2], "127.0.0.1")
    made.lead_to(home)
    yield made
    made.close()


@pytest.fixture
async def replica(home: Path, gate: Gate) -> AsyncIterator[str]:
    """Yield the address that the agent of a replica tells."""
    path = home / "replica.sock"
    server = await asyncio.get_running_loop().create_unix_server(Echo, str(path))
    yield gated.told_as(home, str(path))
    server.close()


@contextlib.asynccontextmanager
async def edge() -> AsyncIterator[Replicas]:
    replicas = Replicas(rest_s=60.0)
    yield replicas
    replicas.close()


async def ask(replicas: Replicas, address: str, body: bytes = b"a,b") -> Heard:
    heard = Heard(body)
    (await replicas.connect(address)).ask(heard, head({}), 0.0)
    await asyncio.wait_for(heard.done.wait(), 30.0)
    return heard


def test_a_host_without_a_gate_tells_its_own_address(tmp_path: Path) -> None:
    assert gated.told_as(tmp_path, "/a/replica.sock") == "/a/replica.sock"


def test_a_container_is_told_by_its_kind(home: Path, gate: Gate) -> None:
    assert gated.told_as(home, "http://10.88.0.5:8080#1.2").endswith(f"/{RUN}/{HOST}/http")


@pytest.mark.parametrize("n_bytes", [3, 3_000_000])
async def test_frames_go_both_ways(replica: str, n_bytes: int) -> None:
    async with edge() as replicas:
        body = os.urandom(n_bytes)
        found = await asyncio.gather(*(ask(replicas, replica, body) for _ in range(4)))
        assert [each.frames[0].body == body for each in found] == [True] * 4


async def test_a_model_of_its_own_is_beside_it(replica: str, home: Path) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Echo, str(home / "m12.sock"))
    async with edge() as replicas:
        assert (await ask(replicas, str(Path(replica).with_name("m12.sock")))).frames
    server.close()


async def test_who_asks_hears_that_the_replica_ended(replica: str) -> None:
    async with edge() as replicas:
        assert (await ask(replicas, replica, b"end")).told


async def test_with_a_nodes_pulse_all_ends_that_leads_there(
    replica: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "PULSE_S", 0.01)
    known = gates._PULSES.setdefault(asyncio.get_running_loop(), {})
    server = await asyncio.get_running_loop().create_unix_server(asyncio.Protocol, str(home / "m1.sock"))
    async with edge() as replicas:
        waiting = Heard()
        connection = await replicas.connect(str(Path(replica).with_name("m1.sock")))
        connection.ask(waiting, head({}), 0.0)
        assert (await ask(replicas, replica)).frames
        [pulse] = known.values()
        assert len(pulse.followers) == 2
        pulse.connection_lost(TimeoutError())
        await asyncio.wait_for(waiting.done.wait(), 30.0)
        assert waiting.told
        assert pulse.task is not None
        await asyncio.wait_for(pulse.task, 30.0)
        assert not known
        assert (await ask(replicas, replica)).frames
        assert pulse not in known.values()
    server.close()


async def test_a_pulse_goes_on_as_long_as_somebody_follows(
    replica: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "PULSE_S", 0.01)
    known = gates._PULSES.setdefault(asyncio.get_running_loop(), {})
    async with edge() as replicas:
        assert (await ask(replicas, replica)).frames
        [pulse] = known.values()
        assert pulse.task is not None
        done, _ = await asyncio.wait({pulse.task}, timeout=0.2)
        assert not done
    await asyncio.wait_for(pulse.task, 30.0)
    assert not known


@pytest.mark.parametrize("part", ["secret", "run", "host", "name", "climbing"])
async def test_whoever_asks_for_something_else_is_refused(replica: str, home: Path, part: str) -> None:
    shutil.copytree(home, home.with_name("algo-2"), ignore=shutil.ignore_patterns("*.sock"))
    prefix, run, host, name = replica.rsplit("/", 3)
    wrong = {
        "secret": f"{prefix.rpartition('.')[0]}.{'0' * 32}/{run}/{host}/{name}",
        "host": f"{prefix}/{run}/algo-2/{name}",
        "run": f"{prefix}/other/{host}/{name}",
        "name": f"{prefix}/{run}/{host}/c2.sock",
        "climbing": f"{prefix}/../{host}/{name}",
    }
    async with edge() as replicas:
        with pytest.raises(OSError, match="ended"):
            await replicas.connect(wrong[part])


async def test_another_gate_is_not_believed(replica: str, home: Path) -> None:
    other = Gate(home.parents[2], "127.0.0.1")
    other.lead_to(home)
    theirs = gated.told_as(home, str(home / "replica.sock"))
    where, keys = theirs.split("/")[0], replica.split("/")[1]
    async with edge() as replicas:
        with pytest.raises(OSError, match="another than its node's gate"):
            await replicas.connect(f"{where}/{keys}/{RUN}/{HOST}/replica.sock")
    other.close()


async def test_an_address_that_does_not_answer_comes_last_until_it_does(
    replica: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        raise TimeoutError

    async with edge() as replicas:
        with monkeypatch.context() as patch:
            patch.setattr(gates, "_greeted", silent)
            with pytest.raises(TimeoutError):
                await replicas.connect(replica)
            assert replicas.load(replica) > 10**6
            assert not replicas.load("/another")
        replicas.sweep(0.0)  # has it tried beside the invocations
        await replicas.connect(replica)
        assert not replicas.load(replica)
        replicas.sweep(0.0)


async def test_a_container_behind_a_gate_is_asked_over_http(home: Path, gate: Gate) -> None:
    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    server = await asyncio.start_server(attend, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pid = os.getpid()
    async with edge() as replicas:
        address = gated.told_as(home, f"http://127.0.0.1:{port}#{pid}.{linux.start_time(pid)}")
        assert (await ask(replicas, address, b"")).frames[0].body == b"ok"
        gated.told_as(home, f"http://127.0.0.1:{port}#{pid}.1")
        with pytest.raises(OSError, match="ended"):
            await Replicas(rest_s=60.0).connect(address)
    server.close()


async def test_a_model_as_plain_arrays_is_copied(replica: str, home: Path) -> None:
    address = str(Path(replica).with_suffix(".flat"))

    def copy(most_bytes: int = 1 << 20) -> bytes:
        with gates.copied(address, most_bytes=most_bytes) as near:
            return near.read_bytes()

    with pytest.raises(OSError, match="flat"):
        await asyncio.to_thread(copy)
    (home / "replica.flat").write_bytes(text := os.urandom(1_000_000))
    assert await asyncio.to_thread(copy) == text
    assert await asyncio.to_thread(copy, 10) == text[:11]


@pytest.mark.slow
async def test_who_takes_longer_than_a_dead_machine_is_waited_for(home: Path, gate: Gate) -> None:
    n_bytes, stalled_s = 24 << 20, 3 * gated.SILENCE_S

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(stalled_s)  # a model that is busy reads nothing
        writer.write(await reader.readexactly(n_bytes))
        await writer.drain()

    path = home / "replica.sock"
    server = await asyncio.start_unix_server(attend, str(path))
    greeting = await gates._greeted(gated.Gated.parse(gated.told_as(home, str(path))))
    reader, transport = asyncio.StreamReader(limit=1 << 16), greeting.transport
    greeting.hand_over(asyncio.StreamReaderProtocol(reader))
    transport.write(bytes(n_bytes))
    await asyncio.sleep(2 * stalled_s)  # nor does its client
    assert len(await asyncio.wait_for(reader.readexactly(n_bytes), 60.0)) == n_bytes
    transport.abort()
    server.close()
