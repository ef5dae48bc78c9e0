"""A run is what its folder says."""

import os
from pathlib import Path

import pytest

from clary.compute import linux
from clary.compute.base import Outcome, RunKind, RunPhase, RunSpec, Runtime, Size
from clary.compute.run import Run, remove, replace_json


def spec_of(kind: RunKind = RunKind.TRAINING, memory_mib: int = 1000) -> RunSpec:
    return RunSpec(
        run_id="r",
        kind=kind,
        account="1",
        region="r",
        name="n",
        arn="a",
        runtime=Runtime(kind="builtin", name="x"),
        size=Size(cpus=1, memory_mib=memory_mib, gpus=2),
        hosts=("algo-1", "algo-2"),
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(spec_of(), tmp_path / "r", arrived_ns=5, slot=7)
    run.write()
    return run


def test_what_is_written_is_read_again(run: Run) -> None:
    again = Run.read(run.folder)
    assert again is not None
    assert (again.spec, again.arrived_ns, again.slot, again.is_started) == (run.spec, 5, 7, False)


def test_a_folder_without_a_spec_is_no_run(tmp_path: Path) -> None:
    assert Run.read(tmp_path) is None


def test_a_run_stands_where_its_slowest_host_does_and_a_lost_one_is_told_at_once(run: Run) -> None:
    assert run.state().phase is RunPhase.QUEUED
    run.is_started = True
    for host in run.spec.hosts:
        (run.home(host) / "pid").write_text(linux.stamp(os.getpid()))
    replace_json(run.home("algo-1") / "state.json", {"phase": "Training", "address": None})
    assert run.state().phase is RunPhase.STARTING
    replace_json(run.home("algo-2") / "state.json", {"phase": "Serving", "address": "/s"})
    assert (run.state().phase, run.state().addresses) == (RunPhase.TRAINING, {"algo-2": "/s"})
    (run.home("algo-2") / "pid").write_text(f"{os.getpid()} 1")
    assert run.state().phase is RunPhase.LOST


def test_a_pid_that_was_used_again_is_not_taken_for_the_agent(run: Run) -> None:
    (run.home("algo-1") / "pid").write_text(f"{os.getpid()} 12345")
    assert run.agent("algo-1") is None


def test_ended_hosts_keep_their_first_result(run: Run) -> None:
    run.end(Outcome.STOPPED, RunPhase.QUEUED)
    run.end(Outcome.FAILED, RunPhase.STARTING)
    assert {result.outcome for result in run.state().results.values()} == {Outcome.STOPPED}
    assert run.state().phase is RunPhase.ENDED


def test_a_second_stop_shortens_the_grace_and_keeps_the_outcome(run: Run) -> None:
    run.ask_to_stop(Outcome.INTERRUPTED, 120)
    run.ask_to_stop(Outcome.STOPPED, 5)
    run.ask_to_stop(Outcome.STOPPED, 50)
    text = (run.home("algo-1") / "stop.json").read_text()
    assert text == '{"outcome": "interrupted", "grace_s": 5}'


def test_serving_hosts_reserve_little(tmp_path: Path) -> None:
    assert Run(spec_of(), tmp_path, arrived_ns=0, slot=0).memory_mib == 2000
    assert Run(spec_of(RunKind.SERVING), tmp_path, arrived_ns=0, slot=0).memory_mib == 1024
    assert Run(spec_of(RunKind.SERVING, 100), tmp_path, arrived_ns=0, slot=0).memory_mib == 200


def test_each_host_has_gpus_of_its_own(run: Run) -> None:
    run.give_gpus([1, 2, 5, 6])
    assert (run.home("algo-2") / "gpus").read_text() == "5,6"
    assert run.gpus() == {1, 2, 5, 6}


def test_what_a_job_leaves_is_removed_and_its_links_are_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("x")
    kept.chmod(0o640)
    folder = tmp_path / "r"
    (folder / "ml" / "closed").mkdir(parents=True)
    (folder / "ml" / "closed" / "link").symlink_to(kept)
    (folder / "ml" / "closed").chmod(0)
    remove(folder, "r")
    assert not folder.exists()
    assert kept.stat().st_mode & 0o777 == 0o640
