"""Edges as processes: restarts that drop nothing, ports that are taken."""

import contextlib
import functools
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.gateway.listener import listen
from clary.kernel.settings import Settings

from .conftest import eventually, free_port, process
from .neighbours import Control, Neighbours


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    settings = Settings(data_dir=tmp_path)
    settings.socket_dir.mkdir()
    control = Control(settings.control_socket, Neighbours())
    control.start()
    yield control
    control.stop()


def is_up(port: int) -> bool:
    try:
        return get(port, "/_clary/metrics/edge") == 200
    except OSError:
        return False


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_a_request_in_flight_is_finished_before_the_edge_ends(tmp_path: Path, control: Control) -> None:
    settings = Settings(data_dir=tmp_path, port=free_port())
    with process(settings) as edge:
        eventually(lambda: is_up(settings.port))
        control.delay_s = 1.0
        statuses: list[int] = []
        client = threading.Thread(target=lambda: statuses.append(get(settings.port, "/_clary/slow")))
        client.start()
        eventually(lambda: control.requests)
        edge.send_signal(signal.SIGTERM)
        client.join(20)
        assert statuses == [200]
        assert edge.wait(20) == 0
        with pytest.raises(ConnectionRefusedError):
            get(settings.port, "/")


def test_replacing_edges_on_a_kept_listener_drops_no_request(tmp_path: Path, control: Control) -> None:
    settings = Settings(data_dir=tmp_path, port=free_port())
    listener = listen(settings.host, settings.port)
    stop = threading.Event()
    n_answered = [0] * 3
    failures: list[BaseException] = []

    def fresh(n: int) -> None:
        """A connection for each request: any of them may come to the edge that ends."""
        while not stop.is_set():
            try:
                assert get(settings.port, f"/_clary/{n}") == 200
                n_answered[n] += 1
            except BaseException as error:
                failures.append(error)
                return

    def kept() -> None:
        """One connection for all, opened anew only where the edge says so."""
        connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=20)
        while not stop.is_set():
            try:
                connection.request("GET", "/_clary/kept")
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200
                n_answered[2] += 1
            except BaseException as error:
                failures.append(error)
                return
        connection.close()

    clients = [*(threading.Thread(target=fresh, args=(n,)) for n in range(2)), threading.Thread(target=kept)]
    with contextlib.ExitStack() as edges:
        edges.callback(listener.close)
        running = edges.enter_context(process(settings, listener))
        eventually(lambda: is_up(settings.port))
        for each in clients:
            each.start()
        for _ in range(4):
            following = edges.enter_context(process(settings, listener))
            eventually(functools.partial(_hears_sigterm, following.pid))
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0
            running = following
        stop.set()
        for each in clients:
            each.join(20)
    assert not failures
    assert all(n > 10 for n in n_answered)


def _hears_sigterm(pid: int) -> bool:
    """Tell whether the process has come as far as to handle SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(re.findall(r"SigCgt:\s*(\w+)", status)[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(data_dir=tmp_path, port=taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "clary.gateway.edge"],
            env={**os.environ, **settings.environment()},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == f"cannot listen on 127.0.0.1:{settings.port}: Address already in use\n"


def test_an_inherited_listener_keeps_what_queues_while_no_edge_runs(tmp_path: Path, control: Control) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = Settings(data_dir=tmp_path, port=listener.getsockname()[1])
        statuses: list[int] = []
        client = threading.Thread(target=lambda: statuses.append(get(settings.port, "/_clary/early")))
        client.start()
        time.sleep(0.1)
        environ = {**os.environ, **settings.environment(), "CLARY_LISTEN_FD": str(listener.fileno())}
        edge = subprocess.Popen(
            [sys.executable, "-m", "clary.gateway.edge"], env=environ, pass_fds=[listener.fileno()]
        )
        try:
            client.join(20)
            assert statuses == [200]
        finally:
            edge.kill()
            edge.wait()
