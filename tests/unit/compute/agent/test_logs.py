"""Lines leave as they are written."""

import os
import queue

import pytest

from clary.compute.agent import logs
from clary.compute.agent.logs import Pump


class Lines:
    """A pump that somebody reads."""

    def __init__(self) -> None:
        self.arrived: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.pump = Pump(lambda ms, text: self.arrived.put(text))

    def next(self) -> str:
        return self.arrived.get(timeout=10)

    def rest(self) -> list[str]:
        self.pump.finish()
        found = []
        while not self.arrived.empty():
            found.append(self.arrived.get())
        return found


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_each_line_is_one_event_and_empty_ones_are_none(lines: Lines) -> None:
    os.write(lines.pump.stdout, b"one\n\ntwo\r\n\tthree\n")
    assert [lines.next() for _ in range(3)] == ["one", "two", "\tthree"]
    assert lines.rest() == []


def test_an_unfinished_line_goes_when_nothing_follows(lines: Lines) -> None:
    os.write(lines.pump.stdout, b"50%")
    assert lines.next() == "50%"
    os.write(lines.pump.stdout, b" done\n")
    assert lines.next() == " done"
    assert lines.rest() == []


def test_the_end_takes_what_is_left(lines: Lines) -> None:
    os.write(lines.pump.stderr, b"error without an end")
    assert lines.rest() == ["error without an end"]
    assert list(lines.pump.tail) == ["error without an end"]
    assert list(lines.pump.last) == []


def test_long_lines_are_split(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LONGEST_LINE_BYTES", 10)
    os.write(lines.pump.stdout, b"a" * 25 + b"\nb\n")
    assert lines.rest() == ["a" * 10, "a" * 10, "a" * 5, "b"]


def test_bytes_that_are_no_text_do_not_stop_it(lines: Lines) -> None:
    os.write(lines.pump.stdout, b"caf\xe9\n")
    assert lines.rest() == ["caf\ufffd"]


def test_only_the_last_lines_are_kept(lines: Lines) -> None:
    os.write(lines.pump.stderr, b"".join(b"%d\n" % n for n in range(500)))
    assert len(lines.rest()) == 500
    assert list(lines.pump.tail) == [str(n) for n in range(300, 500)]


def test_a_stream_that_somebody_else_holds_open_does_not_hold_the_end(lines: Lines) -> None:
    held = os.dup(lines.pump.stdout)
    os.write(held, b"said\n")
    assert lines.next() == "said"
    lines.pump.finish(within_s=0.05)
    os.close(held)
