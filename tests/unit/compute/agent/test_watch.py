"""Stops and time limits, with a program that does as it is told."""

import json
import threading
import time
from pathlib import Path

import pytest

from clary.compute.agent import watch as module
from clary.compute.agent.host import Host
from clary.compute.agent.watch import InterruptionError, Watch
from clary.compute.base import Outcome, RunKind, RunSpec, Runtime, Size
from clary.compute.runners.base import Exit

SPEC = RunSpec(
    run_id="r",
    kind=RunKind.TRAINING,
    account="111122223333",
    region="us-east-1",
    name="job",
    arn="arn",
    runtime=Runtime(kind="builtin", name="xgboost"),
    size=Size(cpus=1, memory_mib=1024),
)


class Obedient:
    """A program in name only; ends on SIGTERM unless it is stubborn."""

    pid = 0
    address = ""

    def __init__(self, *, is_stubborn: bool = False) -> None:
        self.told: list[str] = []
        self._exit: Exit | None = None
        self._changed = threading.Condition()
        self._is_stubborn = is_stubborn

    def end(self, exit_: Exit) -> None:
        with self._changed:
            self._exit = exit_
            self._changed.notify_all()

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        with self._changed:
            self._changed.wait_for(lambda: self._exit is not None, timeout_s)
            return self._exit

    def signal(self, number: int) -> None:
        self.told.append(f"signal {int(number)}")
        if not self._is_stubborn:
            self.end(Exit(code=0))

    def kill(self) -> None:
        self.told.append("kill")
        self.end(Exit(signal="SIGKILL"))

    def memory_bytes(self) -> int:
        return 0

    def close(self) -> None:
        pass


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    # a thread's own watch leaves this process's signals alone
    made: list[Watch] = []
    thread = threading.Thread(target=lambda: made.append(Watch(Host(tmp_path, SPEC))))
    thread.start()
    thread.join()
    return made[0]


def ask(home: Path, outcome: str, grace_s: float) -> None:
    (home / "stop.json").write_text(json.dumps({"outcome": outcome, "grace_s": grace_s}))


def test_a_program_that_ends_by_itself_has_no_outcome(watch: Watch) -> None:
    running = Obedient()
    threading.Timer(0.02, running.end, [Exit(code=3)]).start()
    ending = watch.until_exit(running)
    assert (ending.exit, ending.outcome) == (Exit(code=3), None)
    assert running.told == []


@pytest.mark.parametrize("outcome", ["stopped", "interrupted", "out_of_time"])
def test_a_stop_is_a_term_and_gives_its_outcome(watch: Watch, tmp_path: Path, outcome: str) -> None:
    running = Obedient()
    ask(tmp_path, outcome, 60)
    assert watch.until_exit(running).outcome is Outcome(outcome)
    assert running.told == ["signal 15"]


def test_patience_ends_in_a_kill(watch: Watch, tmp_path: Path) -> None:
    running = Obedient(is_stubborn=True)
    ask(tmp_path, "stopped", 0.1)
    assert watch.until_exit(running).exit == Exit(signal="SIGKILL")
    assert running.told == ["signal 15", "kill"]


def test_a_second_stop_can_shorten_the_grace(watch: Watch, tmp_path: Path) -> None:
    running = Obedient(is_stubborn=True)
    ask(tmp_path, "interrupted", 600)
    watch.look()
    ask(tmp_path, "stopped", 0.0)
    ending = watch.until_exit(running)
    assert ending.outcome is Outcome.INTERRUPTED
    assert running.told == ["signal 15", "kill"]


def test_the_time_limit_is_an_outcome_of_its_own(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.05)
    running = Obedient(is_stubborn=True)
    ending = watch.until_exit(running, limit_s=0.05)
    assert ending.outcome is Outcome.OUT_OF_TIME
    assert running.told == ["signal 15", "kill"]


def test_work_gives_its_result_or_its_error(watch: Watch) -> None:
    assert watch.during(lambda: 5, lambda: None) == 5
    with pytest.raises(TimeoutError, match="own"):
        watch.during(lambda: (_ for _ in ()).throw(TimeoutError("own")), lambda: None)


def test_work_is_called_off_by_a_stop(watch: Watch, tmp_path: Path) -> None:
    off = threading.Event()
    threading.Timer(0.05, ask, [tmp_path, "interrupted", 60]).start()
    begun = time.monotonic()
    with pytest.raises(InterruptionError) as interruption:
        watch.during(lambda: off.wait(30), off.set)
    assert interruption.value.outcome is Outcome.INTERRUPTED
    assert time.monotonic() - begun < 10
