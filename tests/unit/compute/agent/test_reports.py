"""Reports arrive in order, once, and carry everything."""

import time
from typing import Any

import pytest

from clary.compute.agent import reports
from clary.compute.agent.reports import Reporter
from clary.compute.base import Outcome, Result, RunPhase

DONE = Result(outcome=Outcome.SUCCEEDED)


@pytest.fixture
def reporter(receiver: Any) -> Reporter:
    made = Reporter(receiver.url, "algo-1", "token")
    made.start()
    return made


def test_lines_of_a_steady_program_arrive_in_order_a_few_to_a_report(
    reporter: Reporter, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "PACE_S", 60.0)
    reporter.log(1000, "0")
    receiver.wait_for(lambda: "0" in receiver.lines())  # the first waits for nobody
    for n in range(1, 5):
        reporter.log(1000 + n, str(n))
    reporter.phase(RunPhase.SERVING, "socket")  # nor does what somebody waits for, and lines go with it
    receiver.wait_for(lambda: len(receiver.reports) > 1)
    reporter.close(DONE)
    assert [pair for each in receiver.reports for pair in each["logs"]] == [
        [1000 + n, str(n)] for n in range(5)
    ]
    assert len(receiver.reports[1]["logs"]) == 4


def test_many_lines_share_few_reports(reporter: Reporter, receiver: Any) -> None:
    for n in range(10_000):
        reporter.log(n, f"line {n}")
    reporter.metric("loss", 5, 0.5)
    reporter.close(DONE)
    assert receiver.lines() == [f"line {n}" for n in range(10_000)]
    assert len(receiver.reports) < 100
    assert [each["metrics"] for each in receiver.reports if each["metrics"]] == [[["loss", 5, 0.5]]]


def test_the_result_is_the_last_word(reporter: Reporter, receiver: Any) -> None:
    reporter.phase(RunPhase.SERVING, "/run/replica.sock")
    for n in range(5000):
        reporter.log(n, str(n))
    reporter.close(DONE)
    assert [each["result"] is not None for each in receiver.reports].index(True) == len(receiver.reports) - 1
    assert Result.from_json(receiver.reports[-1]["result"]) == DONE
    assert ("Serving", "/run/replica.sock") in [(each["phase"], each["address"]) for each in receiver.reports]


def test_a_report_is_repeated_with_its_number_until_it_arrives(reporter: Reporter, receiver: Any) -> None:
    receiver.statuses += [503, 429, 500]
    reporter.log(1, "kept")
    reporter.close(DONE)
    assert receiver.lines() == ["kept"]
    assert [seq for _, _, seq in receiver.seen][:4] == [1, 1, 1, 1]


def test_a_refused_report_is_dropped(reporter: Reporter, receiver: Any) -> None:
    receiver.statuses += [404, 404]
    reporter.log(1, "to nobody")
    reporter.close(DONE)
    assert len(receiver.seen) <= 2


def test_an_absent_control_plane_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "PATIENCE_S", 0.2)
    reporter = Reporter("http://127.0.0.1:9/x", "algo-1", "token")
    reporter.start()
    reporter.log(1, "to nobody")
    begun = time.monotonic()
    reporter.close(DONE)
    assert time.monotonic() - begun < 5


def test_too_many_waiting_lines_are_counted(receiver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "PENDING_LINES", 10)
    reporter = Reporter(receiver.url, "algo-1", "token")
    for n in range(25):
        reporter.log(n, str(n))
    reporter.start()
    reporter.close(DONE)
    assert receiver.lines() == [
        "[clary] 15 lines were dropped while the control plane was away",
        *[str(n) for n in range(15, 25)],
    ]
