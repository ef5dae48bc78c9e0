# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of every placement: subclass `PlacementSuite`, give it a `placements` fixture, run it.

class TestLocalPlacement(PlacementSuite):
    stem = "local"
"""

import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import pytest

from clary.compute import linux, sandbox
from clary.compute.base import Outcome, Placement, RunKind, RunPhase, RunSpec, RunState, Runtime, Size
from clary.kernel.errors import ResourceLimitExceeded
from clary.kernel.settings import Settings

AGENT = (sys.executable, "-P", "-m", "clary.testing.agent")
"""Command of the suite's own agent; a placement appends the host's folder."""
PATIENCE_S = 30.0
SLEEP = ("sh", "-c", "echo on; exec sleep {}")


def until(holds: Callable[[], object], what: str, *, within_s: float | None = None) -> None:
    """Wait until `holds()` is true; fail with `what` when it does not come."""
    within_s = PATIENCE_S if within_s is None else within_s
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.02)


def spec_of(*argv: str, **members: object) -> RunSpec:
    """Return a run of one host of 256 MiB that executes `argv`."""
    run_id = f"suite-{secrets.token_hex(6)}"
    request = {"argv": list(argv), **members.pop("request", {})}  # type: ignore[dict-item]
    spec = RunSpec(
        run_id=run_id,
        kind=RunKind.TRAINING,
        account="111122223333",
        region="us-east-1",
        name=run_id,
        arn=f"arn:aws:sagemaker:us-east-1:111122223333:training-job/{run_id}",
        runtime=Runtime(kind="framework", name="suite"),
        size=Size(cpus=1, memory_mib=256),
        request=request,
    )
    return replace(spec, **members)  # type: ignore[arg-type]  # the tests name real members


class PlacementSuite:
    """What the engine relies on, one test a promise."""

    stem: ClassVar[str]
    """Module in `clary.compute.placements`; its class is `<Stem>Placement`."""
    shares: ClassVar[tuple[float, float]] = (0.4, 0.4)
    """Of `usable_mib`: a single host, beside which one host of this size fits, and two do not."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        """Return settings of a data folder of the test's own."""
        return Settings(data_dir=tmp_path / "data")

    @pytest.fixture
    def placements(self, settings: Settings) -> Iterator[Callable[..., Placement]]:
        """Return a function that makes placements over the same folders: a second one is a restart."""
        module = import_module(f"clary.compute.placements.{self.stem}")
        kind = getattr(module, f"{self.stem.title()}Placement")
        made = []

        def make(**given: object) -> Placement:
            placement: Placement = kind(settings, agent=AGENT, uses_zygote=False, **given)
            made.append(placement)
            return placement

        yield make
        for placement in made:
            placement.close()  # type: ignore[attr-defined]
        last = kind(settings, agent=AGENT, uses_zygote=False)
        for folder in self.runs(settings):
            last.discard(folder.name)
        until(lambda: not self.runs(settings), "the runs' folders are gone")
        last.close()

    def runs(self, settings: Settings) -> list[Path]:
        """Return the folders of all runs, wherever they are."""
        return list(settings.runs_dir.iterdir())

    def home(self, settings: Settings, spec: RunSpec, host: str = "algo-1") -> Path:
        """Return the folder of a host, wherever it is."""
        return settings.runs_dir / spec.run_id / "hosts" / host

    @pytest.fixture
    def placement(self, placements: Callable[..., Placement]) -> Placement:
        """Return one placement."""
        return placements()

    def wait_for(self, placement: Placement, spec: RunSpec, phase: RunPhase) -> RunState:
        """Wait until the run stands in `phase`."""
        until(lambda: placement.poll(spec.run_id).phase is phase, f"{spec.run_id} is {phase.value}")
        return placement.poll(spec.run_id)

    def result_of(
        self, placement: Placement, spec: RunSpec, host: str = "algo-1"
    ) -> tuple[Outcome, int | None]:
        """Wait for the end, and return outcome and exit code of one host."""
        result = self.wait_for(placement, spec, RunPhase.ENDED).results[host]
        return result.outcome, result.exit_code

    def output(self, settings: Settings, spec: RunSpec, host: str = "algo-1") -> str:
        """Return what the program printed."""
        return (self.home(settings, spec, host) / "stdout").read_text()

    def test_a_run_ends_with_its_programs_exit_code(self, placement: Placement) -> None:
        good, bad = spec_of("true"), spec_of("sh", "-c", "exit 3")
        placement.launch(good)
        placement.launch(bad)
        assert self.result_of(placement, good) == (Outcome.SUCCEEDED, 0)
        assert self.result_of(placement, bad) == (Outcome.FAILED, 3)

    def test_launching_an_id_twice_starts_it_once(self, placement: Placement, settings: Settings) -> None:
        spec = spec_of("true")
        placement.launch(spec)
        placement.launch(spec)
        self.wait_for(placement, spec, RunPhase.ENDED)
        placement.launch(spec)
        assert (self.home(settings, spec) / "starts").read_text().count("started") == 1

    def test_an_unknown_run_is_lost(self, placement: Placement) -> None:
        assert placement.poll("nobody").phase is RunPhase.LOST
        placement.stop("nobody")
        placement.discard("nobody")

    def test_a_host_larger_than_the_machine_is_refused(self, placement: Placement) -> None:
        with pytest.raises(ResourceLimitExceeded, match="GPU"):
            placement.launch(spec_of("true", size=Size(cpus=1, memory_mib=256, gpus=1000)))

    def test_all_hosts_of_a_run_start_and_reach_each_other(
        self, placement: Placement, settings: Settings
    ) -> None:
        code = (
            "import os, socket, time\n"
            "me = socket.gethostname()\n"
            "if me == 'algo-1':\n"
            "    server = socket.create_server((socket.gethostbyname(me), 7777))\n"
            "    print(server.accept()[0].recv(9))\n"
            "else:\n"
            "    for _ in range(400):\n"
            "        try: socket.create_connection(('algo-1', 7777)).sendall(me.encode()); break\n"
            "        except OSError: time.sleep(0.05)\n"
            "    else: raise SystemExit(9)\n"
        )
        for network in (True, False):
            spec = spec_of("python", "-c", code, hosts=("algo-1", "algo-2"), request={"network": network})
            placement.launch(spec)
            assert self.result_of(placement, spec, "algo-2") == (Outcome.SUCCEEDED, 0)
            assert "algo-2" in self.output(settings, spec)

    def test_what_does_not_fit_waits_its_turn(self, placement: Placement) -> None:
        most = Size(cpus=1, memory_mib=10**9)
        first, second, third = (spec_of(*_sleep(60), size=most) for _ in range(3))
        for spec in (first, second, third):
            placement.launch(spec)
        self.wait_for(placement, first, RunPhase.TRAINING)
        assert placement.poll(second.run_id).phase is RunPhase.QUEUED
        assert placement.poll(third.run_id).phase is RunPhase.QUEUED
        placement.stop(first.run_id)
        self.wait_for(placement, second, RunPhase.TRAINING)
        assert placement.poll(third.run_id).phase is RunPhase.QUEUED

    def test_a_serving_run_does_not_wait_behind_jobs(self, placement: Placement) -> None:
        half = Size(cpus=1, memory_mib=placement.usable_mib * 6 // 10)  # type: ignore[attr-defined]
        job, waiting = spec_of(*_sleep(60), size=half), spec_of(*_sleep(60), size=half)
        serving = spec_of(*_sleep(60), size=half, kind=RunKind.SERVING)
        for spec in (job, waiting, serving):
            placement.launch(spec)
        self.wait_for(placement, serving, RunPhase.TRAINING)
        assert placement.poll(waiting.run_id).phase is RunPhase.QUEUED

    def test_a_job_as_large_as_the_machine_starts_beside_a_serving_run(self, placement: Placement) -> None:
        all_of_it = Size(cpus=1, memory_mib=10**9)
        serving = spec_of(*_sleep(60), size=all_of_it, kind=RunKind.SERVING)
        job = spec_of(*_sleep(60), size=all_of_it)
        placement.launch(serving)
        self.wait_for(placement, serving, RunPhase.TRAINING)
        placement.launch(job)
        self.wait_for(placement, job, RunPhase.TRAINING)

    def test_a_gang_starts_whole_or_waits_whole(self, placement: Placement) -> None:
        sizes = [int(placement.usable_mib * share) for share in self.shares]  # type: ignore[attr-defined]
        single = spec_of(*_sleep(60), size=Size(cpus=1, memory_mib=sizes[0]))
        gang = spec_of(*_sleep(60), size=Size(cpus=1, memory_mib=sizes[1]), hosts=("algo-1", "algo-2"))
        placement.launch(single)
        placement.launch(gang)
        self.wait_for(placement, single, RunPhase.TRAINING)
        assert placement.poll(gang.run_id).phase is RunPhase.QUEUED
        placement.discard(single.run_id)
        self.wait_for(placement, gang, RunPhase.TRAINING)

    def test_stop_asks_first(self, placement: Placement) -> None:
        spec = spec_of("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
        placement.launch(spec)
        self.wait_for(placement, spec, RunPhase.TRAINING)
        placement.stop(spec.run_id, outcome=Outcome.INTERRUPTED, grace_s=30)
        placement.stop(spec.run_id)
        assert self.result_of(placement, spec) == (Outcome.INTERRUPTED, 5)

    def test_stop_kills_when_the_grace_is_over(self, placement: Placement) -> None:
        spec = spec_of("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
        placement.launch(spec)
        self.wait_for(placement, spec, RunPhase.TRAINING)
        placement.stop(spec.run_id, grace_s=0.2)
        result = self.wait_for(placement, spec, RunPhase.ENDED).results["algo-1"]
        assert (result.outcome, result.signal) == (Outcome.STOPPED, "SIGKILL")

    def test_a_queued_run_that_is_stopped_ends(self, placement: Placement) -> None:
        most = Size(cpus=1, memory_mib=10**9)
        first, second = spec_of(*_sleep(60), size=most), spec_of("true", size=most)
        placement.launch(first)
        placement.launch(second)
        self.wait_for(placement, first, RunPhase.TRAINING)
        placement.stop(second.run_id)
        assert self.wait_for(placement, second, RunPhase.ENDED).results["algo-1"].outcome is Outcome.STOPPED

    def test_a_killed_agent_loses_the_host_and_leaves_no_process(
        self, placement: Placement, settings: Settings
    ) -> None:
        mark = _mark()
        spec = spec_of("sh", "-c", f"setsid sleep {mark} & sleep {mark}")
        placement.launch(spec)
        until(lambda: _n_processes(mark) >= 2, "the program and its daemon run")
        agent = linux.stamped(self.home(settings, spec) / "pid")
        assert agent is not None
        os.kill(agent, signal.SIGKILL)
        self.wait_for(placement, spec, RunPhase.LOST)
        until(lambda: _n_processes(mark) == 0, "no process of the program is left")

    def test_a_daemon_does_not_outlive_its_program(self, placement: Placement) -> None:
        mark = _mark()
        spec = spec_of("sh", "-c", f"(setsid sleep {mark} &); exit 0")
        placement.launch(spec)
        assert self.result_of(placement, spec) == (Outcome.SUCCEEDED, 0)
        assert _n_processes(mark) == 0

    def test_discard_kills_and_removes(self, placement: Placement, settings: Settings) -> None:
        mark = _mark()
        spec = spec_of("sh", "-c", f"mkdir -p /opt/ml/a; chmod 0 /opt/ml/a; sleep {mark}")
        placement.launch(spec)
        until(lambda: _n_processes(mark), "the program runs")
        placement.discard(spec.run_id)
        assert placement.poll(spec.run_id).phase is RunPhase.LOST
        until(lambda: _n_processes(mark) == 0, "no process is left")
        until(lambda: not self.runs(settings), "the folder is gone")

    def test_after_a_restart_everything_is_as_before(self, placements: Callable[..., Placement]) -> None:
        before = placements()
        most = Size(cpus=1, memory_mib=10**9)
        running, waiting, last = (spec_of(*_sleep(60), size=most) for _ in range(3))
        for spec in (running, waiting, last):
            before.launch(spec)
        self.wait_for(before, running, RunPhase.TRAINING)
        before.close()  # type: ignore[attr-defined]
        after = placements()
        after.launch(running)
        assert after.poll(running.run_id).phase is RunPhase.TRAINING
        assert after.poll(waiting.run_id).phase is RunPhase.QUEUED
        after.stop(running.run_id)
        assert self.result_of(after, running)[0] is Outcome.STOPPED
        self.wait_for(after, waiting, RunPhase.TRAINING)
        assert after.poll(last.run_id).phase is RunPhase.QUEUED

    def test_changes_are_told(self, placements: Callable[..., Placement]) -> None:
        told: list[str] = []
        placement = placements(on_change=told.append)
        spec = spec_of("true")
        placement.launch(spec)
        self.wait_for(placement, spec, RunPhase.ENDED)
        until(lambda: len(told) >= 2, "start and end are told")
        assert set(told) == {spec.run_id}

    def test_more_memory_than_declared_ends_the_host_alone(self, placement: Placement) -> None:
        greedy = spec_of("python", "-c", "bytearray(600 << 20)")
        modest = spec_of("python", "-c", "bytearray(50 << 20)")
        placement.launch(greedy)
        placement.launch(modest)
        result = self.wait_for(placement, greedy, RunPhase.ENDED).results["algo-1"]
        assert (result.signal, result.reason) == ("SIGKILL", "out of memory")
        assert self.result_of(placement, modest) == (Outcome.SUCCEEDED, 0)

    def test_a_job_sees_its_own_files_only(self, placement: Placement, settings: Settings) -> None:
        if sandbox.probe(settings).kind == "none":
            pytest.skip(f"no sandbox: {sandbox.probe(settings).reason}")
        other = spec_of(*_sleep(60))
        placement.launch(other)
        self.wait_for(placement, other, RunPhase.TRAINING)
        secret = settings.data_dir / "secret"
        secret.write_text("s3cr3t")
        neighbour = self.home(settings, other).parents[1] / "spec.json"
        code = (
            "import json, os, sys\n"
            "def refused(do):\n"
            "    try: do()\n"
            "    except OSError: return True\n"
            "    return False\n"
            "print(json.dumps([refused(lambda: open(sys.argv[1])), refused(lambda: open(sys.argv[2])),\n"
            "  refused(lambda: open('/etc/passwd', 'a')), refused(lambda: os.mkdir('/mine')),\n"
            "  refused(lambda: open('/proc/sys/kernel/hostname', 'w')),\n"
            "  refused(lambda: open('/opt/ml/mine', 'w')), refused(lambda: open('/tmp/mine', 'w')),\n"
            "  refused(lambda: open(os.path.expanduser('~/mine'), 'w'))]))\n"
        )
        spec = spec_of("python", "-c", code, str(secret), str(neighbour))
        placement.launch(spec)
        assert self.result_of(placement, spec) == (Outcome.SUCCEEDED, 0)
        assert json.loads(self.output(settings, spec)) == [True] * 5 + [False] * 3


def _sleep(seconds: int) -> tuple[str, ...]:
    return tuple(word.format(seconds) for word in SLEEP)


def _mark() -> str:
    """Return an argument of `sleep` by which its processes can be told from all others."""
    return f"7{secrets.randbelow(10**9):09}.5"


def _n_processes(mark: str) -> int:
    """Count processes that have `mark` as an argument of their own, not as a part of a script."""
    found = 0
    for pid in linux.pids():
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        found += mark.encode() in arguments
    return found
