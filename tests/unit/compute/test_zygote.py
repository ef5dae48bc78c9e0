"""The zygote: forks agents, survives bad requests and its own death."""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.compute import linux, spares, zygote
from clary.kernel.settings import Settings

AGENT = """
import os, sys, time
def main(home):
    (home / "seen").write_text(f"{os.getpid()} {os.getsid(0)} {len(os.listdir('/proc/self/task'))}")
    print("hello", flush=True)
    while not (home / "end").exists():
        time.sleep(0.01)
    (home / "done").touch()
    return int((home / "end").read_text() or 0)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def server(settings: Settings, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A zygote that imports nothing large, with an agent of the test's own."""
    (tmp_path / "fake_agent.py").write_text(AGENT)
    code = (
        "import sys, fake_agent\n"
        "sys.modules['clary.compute.agent'] = fake_agent\n"
        "from clary.compute import zygote\n"
        "from clary.compute import warming; warming.RUNTIMES['base'] = (); warming.OWN = ()\n"
        "sys.exit(zygote.main([]))\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    child = subprocess.Popen(
        [sys.executable, "-c", code], env={**zygote.environment(settings), "PYTHONPATH": path}
    )
    until(lambda: zygote.listens(settings))
    yield child
    child.terminate()
    child.wait()


def until(holds: object) -> None:
    end = time.monotonic() + 60
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def home_of(tmp_path: Path, name: str = "algo-1") -> Path:
    home = tmp_path / name
    home.mkdir()
    return home


def ran(settings: Settings, home: Path, account: str) -> int:
    """Return the pid of the agent that has run `home` to its end and waits for more."""
    pid = zygote.fork_agent(settings, home, account=account)
    (home / "end").touch()
    until((home / "done").exists)
    assert pid
    return pid


@pytest.mark.usefixtures("server")
def test_an_agent_has_a_session_a_log_and_one_thread(settings: Settings, tmp_path: Path) -> None:
    home = home_of(tmp_path)
    pid = zygote.fork_agent(settings, home)
    until(lambda: (home / "seen").exists() and (home / "seen").read_text())
    assert (home / "seen").read_text() == f"{pid} {pid} 1"
    until(lambda: (home / "agent.log").read_text() == "hello\n")
    (home / "end").touch()
    until(lambda: linux.start_time(pid or 0) is None)


@pytest.mark.usefixtures("server")
def test_an_agent_takes_the_next_run_of_its_account_and_of_no_other(
    settings: Settings, tmp_path: Path
) -> None:
    def next_pid(account: str) -> int:
        return ran(settings, home_of(tmp_path, f"algo-{time.monotonic_ns()}"), account)

    seen: set[int] = set()

    def is_taken_again() -> bool:
        pid = next_pid("1")
        is_known = pid in seen
        seen.add(pid)
        return is_known

    until(is_taken_again)
    assert next_pid("2") not in seen
    for pid in seen:  # while they wait
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: linux.start_time(pid) is None)
    assert next_pid("1") not in seen


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("account", "code"), [("", "0"), ("1", "3")])
def test_an_agent_of_no_account_or_with_a_fault_ends_with_its_run(
    settings: Settings, tmp_path: Path, account: str, code: str
) -> None:
    home = home_of(tmp_path)
    (home / "end").write_text(code)
    pid = zygote.fork_agent(settings, home, account=account)
    until(lambda: linux.start_time(pid or 0) is None)


def test_spares_go_when_their_time_is_over_or_too_many_wait() -> None:
    with selectors.DefaultSelector() as selector:
        known = spares.Spares(selector)
        ends = []
        for pid in range(spares.MAX_SPARES + 1):
            here, there = socket.socketpair()
            known.add(pid, "1", here)
            ends.append(there)
            there.sendall(b"idle")
            for key, _ in selector.select():
                known.hear(key.data)
        assert ends[0].recv(1) == b""  # one too many: the oldest went
        assert 0 < (known.expire() or 0) <= spares.SPARE_S
        assert known.take(Path("/next"), "1") == 1
        assert ends[1].recv(99) == b"/next"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: float("1e12"))
            assert known.expire() is None
        assert known.take(Path("/next"), "1") is None
        assert ends[2].recv(1) == b""
        for end in ends:
            end.close()


def test_an_agent_survives_the_zygote(
    settings: Settings, tmp_path: Path, server: "subprocess.Popen[bytes]"
) -> None:
    home = home_of(tmp_path)
    pid = zygote.fork_agent(settings, home)
    until((home / "seen").exists)
    server.send_signal(signal.SIGKILL)
    server.wait()
    assert pid
    assert linux.start_time(pid) is not None
    assert zygote.fork_agent(settings, home) is None
    (home / "end").touch()
    until(lambda: linux.start_time(pid) is None)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "text", [b"x", b"{}", b"[]", b'{"home": 3}', b'{"home": "/nowhere"}', b'{"home": "."}']
)
def test_a_bad_request_is_answered_and_harms_nobody(settings: Settings, text: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(zygote.socket_path(settings)))
        channel.sendall(text + b"\n")
        assert "error" in json.loads(channel.recv(4096))
    assert zygote.listens(settings)


@pytest.mark.usefixtures("server")
def test_a_second_zygote_of_a_runtime_gives_way(settings: Settings) -> None:
    child = subprocess.run(
        zygote.command(),
        env={**zygote.environment(settings), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
        capture_output=True,
    )
    assert child.returncode == 0
    assert b"another zygote" in child.stderr


def test_without_a_zygote_nobody_answers(settings: Settings, tmp_path: Path) -> None:
    assert not zygote.listens(settings)
    assert zygote.fork_agent(settings, tmp_path) is None


def test_no_secret_is_in_a_zygotes_environment() -> None:
    settings = Settings(objects_secret_key="hidden", store_url="postgresql://u:pw@h/d")
    text = " ".join(zygote.environment(settings).values())
    assert "hidden" not in text
    assert "pw@h" not in text


def test_what_the_shell_of_clary_up_held_is_not_in_a_zygotes_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "hidden")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/data/kernels")  # where compiled kernels are, for all of a machine
    kept = zygote.environment(Settings(region="eu-west-1"))
    assert "GITHUB_TOKEN" not in kept
    assert {"PATH", "OMP_NUM_THREADS", "CLARY_REGION", "NUMBA_CACHE_DIR"} <= kept.keys()
