"""The daemon over its sockets: turns, cuts, restarts. Its replicas are threads of this process."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.compute import accelerator
from clary.kernel.settings import Settings
from clary.serving.elastic.daemon import Daemon
from clary.serving.elastic.turns import Turns


class Live:
    """A daemon in a thread, and agents that ask it; no process is signalled."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.agents: list[socket.socket] = []
        self.start()

    def start(self) -> None:
        self.daemon = Daemon(self.settings)
        self.thread = threading.Thread(target=self.daemon.run)
        self.thread.start()

    def stop(self) -> None:
        self.daemon.is_over = True
        self.thread.join(10)
        self.daemon.close()

    def say(self, what: dict[str, Any]) -> dict[str, Any]:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.connect(str(accelerator.control_socket(self.settings)))
        line.sendall(json.dumps(what).encode() + b"\n")
        self.agents.append(line)
        with line.makefile() as said:
            answer: dict[str, Any] = json.loads(said.readline())
        return answer

    def lease(self, name: str, limit_s: float = 60.0, *, uses_page: bool = False) -> Turns:
        asked = {"run_id": name, "type": "ml.eia2.medium", "account": "1", "endpoint": name, "variant": "v"}
        token = self.say({"admit": asked | {"limit_s": limit_s}})["token"]
        folder = accelerator.turns_folder(self.settings)
        page = str(folder / accelerator.PAGE.format(0)) if uses_page else ""
        return Turns(str(folder / accelerator.TURNS), token, page)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    # the replicas are this very process, which must not be stopped
    monkeypatch.setattr("clary.serving.elastic.tenants.Tenant.signal", lambda _tenant, _number: None)
    monkeypatch.setattr("clary.serving.elastic.tenants.anonymous_bytes", lambda _pid: 0)
    made = Live(Settings(data_dir=tmp_path, accelerator_tflops=4, accelerator_memory_mib=8192))
    yield made
    made.stop()
    for line in made.agents:
        line.close()


def until(claim: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not claim():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)


def test_calls_go_through_with_their_results_and_are_counted(live: Live) -> None:
    turns = live.lease("one")
    double = turns.bound(lambda value: 2 * value)
    assert [double(n) for n in range(5)] == [0, 2, 4, 6, 8]
    until(lambda: live.say({"status": True})["tenants"][0]["n_answers"] == 5)
    (tenant,) = live.say({"status": True})["tenants"]
    assert (tenant["endpoint"], tenant["share"], tenant["memory_most_mib"]) == ("one", 0.25, 2048)
    assert tenant["device_s"] > 0


def test_only_one_has_the_device_at_a_time_for_calls_shorter_than_a_quantum(live: Live) -> None:
    inside, most = [0], [0]

    def call() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        inside[0] -= 1

    calls = [live.lease(name).bound(call) for name in ("a", "b", "c")]
    threads = [threading.Thread(target=lambda f=f: [f() for _ in range(100)]) for f in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == [1]


def test_a_free_device_is_taken_without_an_answer_and_accounted_all_the_same(live: Live) -> None:
    turns = live.lease("one", uses_page=True)
    call = turns.bound(lambda: 5)
    assert [call() for _ in range(50)] == [5] * 50
    until(lambda: live.say({"status": True})["tenants"][0]["n_answers"] == 50)
    live.stop()
    live.start()
    assert call() == 5, "the page is stale, the daemon another"


def test_a_call_that_fails_gives_the_device_back(live: Live) -> None:
    turns = live.lease("one")

    def failing() -> None:
        raise KeyError("column")

    with pytest.raises(KeyError, match="column"):
        turns.bound(failing)()
    assert live.lease("two").bound(lambda: 7)() == 7


def test_an_endless_loop_is_interrupted_past_its_own_excepts(live: Live) -> None:
    def loop() -> None:
        while True:
            with contextlib.suppress(Exception):
                sum(range(100))

    turns = live.lease("looping", limit_s=1.0)
    with pytest.raises(TimeoutError, match="longer than 1 s"):
        turns.bound(loop)()
    assert turns.bound(lambda: "well")() == "well"
    until(lambda: live.say({"status": True})["tenants"][0]["n_cut"] == 1)


def test_a_call_waits_for_a_daemon_that_is_started_again(live: Live) -> None:
    turns = live.lease("one")
    live.stop()
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(turns.bound(lambda: 3)()))
    thread.start()
    live.start()
    thread.join(20)
    assert found == [3]


def test_parts_of_a_stream_are_made_in_turns(live: Live) -> None:
    def parts() -> Iterator[int]:
        yield from range(3)

    assert list(live.lease("one").bound(parts)()) == [0, 1, 2]


def test_a_stranger_is_shown_the_door(live: Live) -> None:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(10)
    with line:
        line.connect(str(accelerator.turns_folder(live.settings) / accelerator.TURNS))
        line.sendall(b"T" + b"0" * 32)
        assert line.recv(5) == b""


def test_nonsense_on_a_line_ends_that_line_alone(live: Live) -> None:
    turns = live.lease("one")
    for nonsense in (b"not json\n", b"[1]\n", b'{"admit": {}}\n'):
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.connect(str(accelerator.control_socket(live.settings)))
        line.sendall(nonsense)
        live.agents.append(line)
    assert turns.bound(lambda: 1)() == 1


def test_a_slice_that_is_given_back_is_free(live: Live) -> None:
    asked = {"run_id": "x", "type": "ml.eia2.xlarge", "account": "1", "endpoint": "x", "variant": "v"}
    live.say({"admit": asked | {"limit_s": 1}})
    refused = live.say({"admit": asked | {"run_id": "y", "limit_s": 1}})["refused"]
    assert "InsufficientAcceleratorCapacity" in refused
    live.agents[0].sendall(b'{"release": true}\n')
    until(lambda: not live.say({"status": True})["tenants"])
