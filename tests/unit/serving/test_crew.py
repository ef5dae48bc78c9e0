"""A crew answers as one replica does, from several processes that share one loaded model."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.errors import CustomerError
from clary.serving import crew, replica
from clary.serving.frames import Decoder, Frame, pack

SCRIPT = """
import os, time
def model_fn(model_dir):
    with open(os.path.join(model_dir, "loaded"), "a") as file:
        file.write("once ")
    return {"weights": os.getpid()}
def transform_fn(model, data, content_type, accept):
    if data == "die":
        os._exit(9)
    time.sleep(float(data))
    return f"{model['weights']} {os.getpid()}", "text/plain"
"""
CSV = {"content_type": "text/csv"}
Start = Callable[[str], tuple[subprocess.Popen[str], Path]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "model/code").mkdir(parents=True)
    (tmp_path / "model/code/inference.py").write_text(SCRIPT)
    path = tmp_path / "s"
    program = (
        "import sys; from clary.serving.replica import main; "
        f"sys.exit(main({{'socket': {str(path)!r}, 'handler': 'script', 'name': 'scikit-learn', "
        f"'model_dir': {str(tmp_path / 'model')!r}, 'failure': {str(tmp_path / 'failure')!r}}}))"
    )
    processes: list[subprocess.Popen[str]] = []

    def begin(workers: str) -> tuple[subprocess.Popen[str], Path]:
        environment = {**os.environ, crew.WORKERS[0]: workers}
        command = [sys.executable, "-c", program]
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
        return processes[-1], path

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def connected(process: subprocess.Popen[str], path: Path) -> socket.socket:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)
    here = socket.socket(socket.AF_UNIX)
    here.settimeout(30)
    here.connect(str(path))
    return here


def answers(here: socket.socket, n: int) -> list[Frame]:
    decoder, found = Decoder(), list[Frame]()
    while len(found) < n and (chunk := here.recv(65536)):
        found += decoder.feed(chunk)
    return found


def test_workers_compute_at_once_what_one_process_has_loaded(start: Start, tmp_path: Path) -> None:
    process, path = start("3")
    with connected(process, path) as here, connected(process, path) as other:
        other.sendall(pack(1, {"ping": True}))
        here.sendall(b"".join(pack(number, CSV, b"0.2") for number in range(1, 7)))
        found = answers(here, 6)
        assert [frame.header["status"] for frame in answers(other, 1)] == [200]
    assert sorted(frame.request_id for frame in found) == [1, 2, 3, 4, 5, 6]
    said = [frame.body.split() for frame in found]
    assert {loader for loader, _ in said} == {str(process.pid).encode()}
    workers = {worker for _, worker in said}
    assert len(workers) == 3
    assert str(process.pid).encode() not in workers
    assert (tmp_path / "model/loaded").read_text() == "once "


def test_sigterm_lets_the_workers_answer_what_has_arrived(start: Start) -> None:
    process, path = start("2")
    with connected(process, path) as here:
        here.sendall(pack(1, CSV, b"0.4") + pack(2, CSV, b"0.2") + pack(3, CSV, b"0"))
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert sorted(frame.request_id for frame in answers(here, 3)) == [1, 2, 3]
    assert process.wait(30) == 0
    assert not path.exists()


def test_a_worker_that_ends_takes_the_crew_along(start: Start) -> None:
    process, path = start("2")
    with connected(process, path) as here:
        here.sendall(pack(1, CSV, b"die"))
        assert process.wait(30) == crew.LOST
        assert here.recv(1) == b""


@pytest.mark.parametrize("text", ["many", "0", "65", "-1"])
def test_a_number_of_workers_that_is_none_is_refused(text: str, start: Start, tmp_path: Path) -> None:
    with pytest.raises(CustomerError, match=f"SAGEMAKER_MODEL_SERVER_WORKERS is '{text}'"):
        crew.size({crew.WORKERS[0]: text})
    if text == "many":
        process, _ = start(text)
        assert process.wait(30) == replica.NOT_LOADED
        assert "whole number from 1 to 64" in (tmp_path / "failure").read_text()


def test_one_process_is_the_rule() -> None:
    environ: dict[str, Any] = {}
    assert crew.size(environ) == 1
    assert crew.size({"MODEL_SERVER_WORKERS": "4"}) == 4
