"""The hosts of a job find each other past whatever else listens on their machine."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from clary.algorithms import _meeting
from clary.kernel.errors import CustomerError
from clary.testing.several_hosts import together

NAMES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


@pytest.fixture(autouse=True)
def _brief(monkeypatch: Any) -> None:
    monkeypatch.setattr(_meeting, "MEETING_S", 20.0)
    monkeypatch.setattr(_meeting, "_WELCOME_S", 0.5)


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """Listen on a port as a program that never answers."""
    with socket.create_server((NAMES[0], port)):
        yield


def meeting(job: str, heard: dict[tuple[str, int], Any]) -> list[Callable[[], None]]:
    """Return what the hosts of a job do: each tells its name to those it meets."""

    def host(rank: int) -> None:
        with contextlib.ExitStack() as stack:
            lines = _meeting.meet(NAMES, rank, job, stack)
            for line in lines:
                line.sendall(f"{job}{rank}".encode())
            heard[job, rank] = [line.recv(2) for line in lines]

    return [partial(host, rank) for rank in range(len(NAMES))]


def test_a_port_that_another_program_has_is_passed_over() -> None:
    heard: dict[tuple[str, int], Any] = {}
    with taken(_meeting.ports("a")[0]), taken(_meeting.ports("a")[2]):
        assert together(meeting("a", heard)) == [None] * 3
    assert heard == {("a", 0): [b"a1", b"a2"], ("a", 1): [b"a0"], ("a", 2): [b"a0"]}


def test_jobs_that_share_their_ports_do_not_meet_each_other(monkeypatch: Any) -> None:
    same = _meeting.ports("any")
    monkeypatch.setattr(_meeting, "ports", lambda job: same)
    heard: dict[tuple[str, int], Any] = {}
    assert together(meeting("a", heard) + meeting("b", heard)) == [None] * 6
    for job in "ab":
        first = f"{job}0".encode()
        assert heard[job, 1] == heard[job, 2] == [first]
        assert heard[job, 0] == [f"{job}1".encode(), f"{job}2".encode()]


def test_hosts_that_do_not_come_are_named(monkeypatch: Any) -> None:
    monkeypatch.setattr(_meeting, "MEETING_S", 0.05)
    with contextlib.ExitStack() as stack:
        with pytest.raises(CustomerError, match=r"Hosts algo-2 did not report"):
            _meeting.meet((NAMES[0], "algo-2"), 0, "alone", stack)
        with pytest.raises(CustomerError, match=r"did not meet the others"):
            _meeting.meet(NAMES, 1, "alone", stack)


def test_ports_are_different_and_below_those_of_callers() -> None:
    for job in ("a", "some-training-job"):
        found = _meeting.ports(job)
        assert len(set(found)) == len(found)
        assert all(1024 < port < 32_768 for port in found)
