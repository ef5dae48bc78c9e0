"""An edge between real clients and a control plane, an object store and replicas of the tests' own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvloop
from botocore.config import Config

from clary.gateway import objects
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.server import Edge
from clary.gateway.listener import INHERITED, listen
from clary.kernel.settings import Settings

from .neighbours import ACCOUNT, KEY, OTHER_ACCOUNT, OTHER_KEY, SECRET, Control, Neighbours, Replica

BUCKET, OTHER_BUCKET = "mine", "theirs"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(true: Callable[[], object], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)


class Site:
    """One edge and what it needs."""

    def __init__(self, settings: Settings, control: Control) -> None:
        self.settings = settings
        self.control = control
        self.url = settings.url
        self.port = settings.port

    def client(self, service: str, *, key: str = KEY, secret: str = SECRET, **given: Any) -> Any:
        retries: Any = {"total_max_attempts": given.pop("attempts", 1)}
        given.setdefault("endpoint_url", self.url)
        config = Config(retries=retries, proxies=given.pop("proxies", {}), **given.pop("config", {}))
        make: Any = boto3.client  # its overloads know services by name only
        return make(
            service,
            region_name=given.pop("region", "us-east-1"),
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=config,
            **given,
        )

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def exchange(self, *pieces: bytes) -> bytes:
        """Send `pieces`, one flush each, and return everything up to the end of the connection."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.01)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


@contextmanager
def running(settings: Settings, limits: Limits, **given: Any) -> Iterator[Edge]:
    """Run an edge in a thread."""
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Event, Edge]] = []
    is_up = threading.Event()
    listener = listen(settings.host, settings.port)

    async def serve() -> None:
        edge, stop = Edge(settings, limits=limits, **given), asyncio.Event()
        started.append((asyncio.get_running_loop(), stop, edge))
        asyncio.get_running_loop().call_soon(is_up.set)
        await edge.serve(listener, stop)

    thread = threading.Thread(target=lambda: uvloop.run(serve()), daemon=True)
    thread.start()
    assert is_up.wait(20)
    loop, stop, edge = started[0]
    try:
        yield edge
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive(), "the edge did not drain"


@contextmanager
def process(settings: Settings, listener: socket.socket | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run an edge as a process of its own, on `listener` as the supervisor keeps it where one is given."""
    inherited = {} if listener is None else {INHERITED: str(listener.fileno())}
    child = subprocess.Popen(
        [sys.executable, "-m", "clary.gateway.edge"],
        env={**os.environ, **settings.environment(), **inherited},
        stderr=subprocess.PIPE,
        pass_fds=() if listener is None else (listener.fileno(),),
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.wait(10)
        assert child.stderr is not None
        child.stderr.close()


class Weed:
    """A real object store, as Clary starts it."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(data_dir=root)
        self.where = objects.set_up(self.settings)
        self.child: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = objects.command(self.settings)
        self.child = subprocess.Popen(
            command.argv,
            env=dict(command.environment),
            cwd=command.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: not asyncio.run(objects.trouble(self.where, writes=True)), within_s=60)

    def stop(self) -> None:
        assert self.child is not None
        self.child.kill()
        self.child.wait()

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.where.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.where.access_key,
            aws_secret_access_key=self.where.secret_key,
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )


@pytest.fixture(scope="session", autouse=True)
def _no_surroundings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AWS_") or name.upper().endswith("_PROXY"):
                patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    store = Weed(tmp_path_factory.mktemp("weed"))
    client = store.client()
    for bucket in (BUCKET, OTHER_BUCKET):
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="warm", Body=b"")  # the first write of a bucket takes a second
    yield store
    store.stop()


@pytest.fixture(scope="session")
def neighbours() -> Neighbours:
    return Neighbours(
        credentials={
            KEY: {"secret": SECRET, "account": ACCOUNT},
            OTHER_KEY: {"secret": SECRET, "account": OTHER_ACCOUNT},
        },
        buckets={BUCKET: ACCOUNT, OTHER_BUCKET: OTHER_ACCOUNT},
    )


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, neighbours: Neighbours) -> Iterator[Site]:
    """One edge for every test that does not stop its neighbours; without an object store."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("s"), port=free_port())
    settings.socket_dir.mkdir()
    control = Control(settings.control_socket, neighbours)
    control.start()
    limits = Limits(
        sweep_s=0.05, head_s=0.5, idle_s=5.0, stall_s=0.5, drain_s=0.1, invocation_s=0.5, away_s=1.0
    )
    with running(settings, limits):
        yield Site(settings, control)
    control.stop()


@pytest.fixture(scope="session")
def stored(site: Site, neighbours: Neighbours, weed: Weed) -> Site:
    """The same, with a real object store."""
    neighbours.objects.update(asdict(weed.where))
    return site


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Make an edge in a thread with neighbours of the test's own."""
    stack: list[Any] = []

    def make(limits: Limits | None = None, neighbours: Neighbours | None = None, **given: Any) -> Site:
        settings = Settings(data_dir=tmp_path, port=free_port())
        settings.socket_dir.mkdir()
        control = Control(settings.control_socket, neighbours or Neighbours())
        control.start()
        context = running(settings, limits or Limits(sweep_s=0.05, drain_s=0.1), **given)
        edge = context.__enter__()
        stack.append((context, control))
        made = Site(settings, control)
        made.edge = edge  # type: ignore[attr-defined]
        return made

    yield make
    for context, control in stack:
        context.__exit__(None, None, None)
        control.stop()


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    one = Replica(tmp_path / "r.sock")
    one.start()
    yield one
    one.stop()
