"""`kill -9` in mid-push: what was stored stays, the upload goes on, and no wrong byte is ever read."""

import http.client
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clary.testing.registry import OCI_IMAGE, RegistryClient, Reply, digest_of, manifest
from clary.testing.server import ClaryServer, end_agents

pytestmark = pytest.mark.slow
SIZE, CHUNK = 64 * 1024 * 1024, 256 * 1024


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="clary-registry-") as home:
        Path(home).chmod(0o711)
        started = ClaryServer.start(Path(home) / "data", registry_create="on-push")
        try:
            yield started
        finally:
            started.stop()
            end_agents(started.settings)


@pytest.fixture
def registry(server):
    return RegistryClient.of(server.account(), "killed")


def patiently(
    registry: RegistryClient, method: str, path: str, body: bytes | None = None, **query: str
) -> Reply:
    """Ask until an answer comes that is none of a part that restarts."""
    deadline = time.monotonic() + 60
    while True:
        try:
            reply = registry.ask(method, path, body, None, **query)
        except (OSError, http.client.HTTPException):
            reply = None
        if reply is not None and reply.status < 500:
            return reply
        assert time.monotonic() < deadline, reply
        time.sleep(0.1)


def stored(reply: Reply) -> int:
    """Return how many bytes an upload has, told by its state."""
    first, _, last = reply.headers["range"].partition("-")
    return int(last) + 1 - int(first) if last != "0" else 0


def halting(data: bytes, reached: threading.Event, killed: threading.Event) -> Iterator[bytes]:
    """Yield a body in small pieces; in its middle, wait for the kill."""
    for first in range(0, len(data), CHUNK):
        if first * 2 == len(data):
            reached.set()
            killed.wait(60)
        yield data[first : first + CHUNK]


@pytest.mark.parametrize("process", ["edge", "control", "objects"])
def test_a_push_goes_on_where_it_was_when_a_process_is_killed(server, registry, process):
    data, reached, killed = os.urandom(SIZE), threading.Event(), threading.Event()
    path = registry.begin()

    def kill() -> None:
        assert reached.wait(60)
        deadline = time.monotonic() + 60
        while not stored(registry.ask("GET", path)) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(server.pid(process), signal.SIGKILL)
        killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        status = registry.ask("PATCH", path, halting(data, reached, killed)).status
    except (OSError, http.client.HTTPException):
        status = 0
    killer.join()
    assert status in ({0} if process == "edge" else {0, 202, 503})
    known = patiently(registry, "GET", path)
    assert known.status == 204, known
    end = stored(known)
    assert end, "what was stored before the kill is kept"
    early = registry.ask("HEAD", f"blobs/{digest_of(data)}")
    assert early.status == 404
    rest = data[end:]
    done = patiently(registry, "PATCH", path, rest) if rest else known
    assert done.status in {202, 204}
    reply = patiently(registry, "PUT", path, b"", digest=digest_of(data))
    assert reply.status == 201, reply
    assert patiently(registry, "GET", f"blobs/{digest_of(data)}").body == data


def test_a_client_that_leaves_finds_what_it_sent(registry):
    data, path = os.urandom(20_000_000), registry.begin()
    where = urlsplit(registry.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    connection.putrequest("PATCH", path)
    connection.putheader("authorization", registry.authorization)
    connection.putheader("content-length", str(len(data)))
    connection.endheaders()
    connection.send(data[:10_000_000])
    connection.close()
    deadline, end = time.monotonic() + 60, 0
    while end < 10_000_000 and time.monotonic() < deadline:
        end = stored(registry.ask("GET", path))
        time.sleep(0.05)
    assert end == 10_000_000
    reply = registry.ask("PUT", path, data[end:], digest=digest_of(data))
    assert reply.status == 201
    assert registry.ask("GET", f"blobs/{digest_of(data)}").body == data


@pytest.mark.parametrize("process", ["edge", "control", "objects"])
def test_a_pull_is_whole_or_breaks_off_visibly(server, registry, process):
    data = os.urandom(SIZE)
    digest = registry.push_blob(data)
    timer = threading.Timer(0.02, lambda: os.kill(server.pid(process), signal.SIGKILL))
    timer.start()
    try:
        reply = registry.ask("GET", f"blobs/{digest}")
        assert reply.status >= 500 or reply.body == data
    except (OSError, http.client.HTTPException):
        assert process == "edge"
    timer.join()
    assert patiently(registry, "GET", f"blobs/{digest}").body == data


def test_an_image_is_there_only_whole_and_its_first_push_makes_the_repository(registry):
    assert registry.ask("GET", "tags/list").code == "NAME_UNKNOWN"
    registry.push_blob(b"{}")
    text = manifest(b"never came")
    assert registry.ask("PUT", "manifests/v1", text, {"content-type": OCI_IMAGE}).status == 404
    assert registry.ask("GET", "tags/list").json["tags"] == []
