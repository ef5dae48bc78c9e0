"""A replica over a socket pair: frames in, frames out."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from clary.algorithms.base import Answer
from clary.serving import replica
from clary.serving.frames import Decoder, pack

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


class Shouting:
    """Answers in capitals; fails at `bad`, and remembers how many questions came at once."""

    def __init__(self, *, is_concurrent: bool = True) -> None:
        self.is_concurrent = is_concurrent
        self.turns: list[int] = []
        self.inside = 0
        self.most_inside = 0

    def answer_many(self, questions: Any) -> Any:
        self.turns.append(len(questions))
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if any(question.body == b"exit" for question in questions):
                raise SystemExit(3)
            if any(question.body == b"bad" for question in questions):
                raise ValueError("no such thing")
            return [
                Answer(
                    question.body.upper(),
                    question.content_type,
                    headers={"X-Amzn-SageMaker-Custom-Attributes": question.attributes}
                    if question.attributes
                    else {},
                )
                for question in questions
            ]
        finally:
            self.inside -= 1


class Line:
    """The edge's end of a connection."""

    def __init__(self, handler: Any) -> None:
        self.here, there = socket.socketpair()
        self.here.settimeout(10)
        self.thread = threading.Thread(target=replica.Replica(handler).attend, args=(there,))
        self.thread.start()
        self.decoder = Decoder()

    def ask(self, *frames: Any) -> Any:
        self.here.sendall(b"".join(frames))
        found: list[Any] = []
        while len(found) < len(frames):
            found += self.decoder.feed(self.here.recv(65536))
        return {frame.request_id: (frame.header, frame.body) for frame in found}

    def close(self) -> Any:
        self.here.close()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def line() -> Any:
    lines = []

    def connected(handler: Any) -> Any:
        lines.append(Line(handler))
        return lines[-1]

    yield connected
    for each in lines:
        each.close()


def test_frames_of_one_turn_are_answered_in_one_call(line):
    handler = Shouting()
    frames = [pack(number, {"content_type": "text/csv"}, b"a%d" % number) for number in range(5)]
    answers = line(handler).ask(*frames)
    assert answers == {n: ({"status": 200, "content_type": "text/csv"}, b"A%d" % n) for n in range(5)}
    assert handler.turns == [5]


def test_a_ping_is_answered_without_the_model(line):
    handler = Shouting()
    assert line(handler).ask(pack(7, {"ping": True})) == {7: ({"status": 200}, b"")}
    assert handler.turns == []


def test_a_failing_request_spoils_no_other_and_ends_nothing(line, capsys):
    connected = line(Shouting())
    answers = connected.ask(pack(1, {}, b"a"), pack(2, {}, b"bad"), pack(3, {}, b"exit"), pack(4, {}, b"b"))
    assert [answers[n][0]["status"] for n in (1, 2, 3, 4)] == [200, 500, 500, 200]
    assert answers[2][1] == b"ValueError: no such thing"
    assert "Traceback" in capsys.readouterr().err
    assert connected.ask(pack(5, {}, b"c"))[5][1] == b"C"


def test_custom_attributes_go_both_ways(line):
    answers = line(Shouting()).ask(pack(1, {"attributes": "trace=1"}, b"a"))
    assert answers[1][0] == {"status": 200, "attributes": "trace=1"}


def test_bytes_that_are_no_frames_end_their_connection_only(line):
    handler = Shouting()
    broken, good = line(handler), line(handler)
    broken.here.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
    assert broken.here.recv(10) == b""
    assert good.ask(pack(1, {}, b"a"))[1][1] == b"A"


def test_a_handler_that_is_not_concurrent_answers_one_connection_at_a_time(line):
    handler = Shouting(is_concurrent=False)
    server = replica.Replica(handler)
    lines = []
    for _ in range(4):
        here, there = socket.socketpair()
        here.settimeout(10)
        thread = threading.Thread(target=server.attend, args=(there,))
        thread.start()
        lines.append((here, thread))
    for _ in range(20):
        for here, _ in lines:
            here.sendall(pack(1, {}, b"a"))
        for here, _ in lines:
            assert Decoder().feed(here.recv(65536))[0].body == b"A"
    for here, thread in lines:
        here.close()
        thread.join(10)
    assert handler.most_inside == 1


@pytest.fixture
def started(tmp_path: Any) -> Any:
    """A replica of a script in a process of its own."""
    code = tmp_path / "model/code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text(
        "import time\n"
        "def model_fn(model_dir): return 'model'\n"
        "def transform_fn(model, data, content_type, accept):\n"
        "    time.sleep(float(data))\n"
        "    return data, content_type\n"
    )
    path = tmp_path / "s"
    program = (
        "import sys; from clary.serving.replica import main; "
        f"sys.exit(main({{'socket': {str(path)!r}, 'handler': 'script', 'name': 'scikit-learn', "
        f"'model_dir': {str(tmp_path / 'model')!r}, 'failure': {str(tmp_path / 'failure')!r}}}))"
    )

    def start() -> Any:
        process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process, path

    processes: list[subprocess.Popen[str]] = []
    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_sigterm_lets_what_has_arrived_be_answered(started):
    process, path = started()
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)
    with socket.socket(socket.AF_UNIX) as here:
        here.settimeout(20)
        here.connect(str(path))
        here.sendall(
            pack(1, {"content_type": "text/csv"}, b"0.3") + pack(2, {"content_type": "text/csv"}, b"0")
        )
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        decoder, found = Decoder(), []
        while chunk := here.recv(65536):
            found += decoder.feed(chunk)
        assert sorted(frame.request_id for frame in found) == [1, 2]
    assert process.wait(20) == 0
    assert not path.exists()


def test_a_model_that_does_not_load_says_why(started, tmp_path):
    (tmp_path / "model/code/inference.py").write_text("def model_fn(model_dir): raise KeyError('weights')\n")
    process, path = started()
    _, errors = process.communicate(timeout=30)
    told = "model_fn failed: KeyError: 'weights' (inference.py, line 1)"
    assert process.returncode == replica.NOT_LOADED
    assert errors.splitlines()[-1] == f"Unable to load the model: {told}"
    assert (tmp_path / "failure").read_text() == told
    assert not path.exists()
    assert not os.path.exists(path)
