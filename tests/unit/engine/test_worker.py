"""The worker over a real store: leases, retries, releases, and no move twice."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from clary.engine.machine import Machine, Move
from clary.engine.worker import LEASE_S, MAX_STEP_FAULTS, Worker
from clary.engine.world import World
from clary.kernel.clock import now
from clary.kernel.settings import Settings
from clary.store import records, work
from clary.store.database import Store
from clary.store.records import Record
from clary.store.work import Work

ARN = "arn:aws:sagemaker:us-east-1:111122223333:thing/one"
PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def store():
    with Store.open("sqlite://") as store:
        yield store


@pytest.fixture
def world(store):
    store.write(records.delete, "111122223333", "us-east-1", "Thing", "one")
    store.write(work.drop, ARN)
    settings = Settings(data_dir=Path("/nowhere/one"))
    return World(settings=settings, store=store, clock=now, secret=b"s", objects={})


@pytest.fixture
def machine():
    return Machine(
        noun="Thing",
        start="A",
        detail="SecondaryStatus",
        edges={"A": frozenset({"B", "Failed"}), "B": frozenset({"Done", "Failed"})},
        status_of={"A": "InProgress", "B": "InProgress"},
    )


@pytest.fixture
def drive(world, machine):
    """Return a function that sets the machine going, waits for something, and returns the record."""
    begun = []

    def run(until, *, is_armed=True):
        if is_armed:
            arm(world)
        worker = Worker(world, {"Thing": machine}, width=4)
        world.nudge, world.wake = worker.nudge, worker.wake
        begun.append(worker)
        worker.start()
        assert until.wait(PATIENCE_S)
        worker.close()
        return world.store.read(records.find_by_arn, ARN)

    yield run
    for worker in begun:
        worker._closing.set()
        worker._awake.set()


def arm(world):
    moment = now()
    document = machine_document(moment)
    record = Record(
        "111122223333", "us-east-1", "Thing", "one", ARN, "InProgress", moment, moment, document, {}, 1
    )
    world.store.write(records.insert, record)
    world.store.write(work.arm, Work(ARN, "Thing", "A", moment))


def machine_document(moment):
    first = {"Status": "A", "StartTime": moment, "StatusMessage": ""}
    return {"SecondaryStatus": "A", "SecondaryStatusTransitions": [first]}


def passed(record):
    return [each["Status"] for each in record.document["SecondaryStatusTransitions"]]


def test_a_machine_goes_to_its_end_and_is_released_after_that_is_committed(world, machine, drive):
    ended, seen = threading.Event(), []

    @machine.step("A", "B")
    def step(job, _world):
        return Move({"A": "B", "B": "Done"}[job.state], {job.state: True})

    @machine.end
    def release(job, world):
        seen.append((job.state, world.store.read(records.find_by_arn, ARN).status))
        ended.set()

    record = drive(ended)
    assert passed(record) == ["A", "B", "Done"]
    assert (record.status, record.document["A"], record.document["B"]) == ("Done", True, True)
    assert seen == [("B", "Done")]
    assert world.store.read(work.find, ARN) is None


def test_a_step_whose_lease_was_lost_commits_nothing(world, machine, drive):
    tried = threading.Event()

    @machine.step("A")
    def step(_job, world):
        world.store.write(work.claim, now() + timedelta(seconds=2 * LEASE_S), "another", 9, LEASE_S)
        tried.set()
        return Move("B", {"late": True})

    record = drive(tried)
    assert passed(record) == ["A"]
    assert "late" not in record.document
    assert world.store.read(work.find, ARN).state == "A"


def test_a_record_changed_during_a_step_is_stepped_again_with_the_change(world, machine, drive):
    ended, seen = threading.Event(), []

    @machine.step("A")
    def step(job, world):
        seen.append(job.intent.get("stop"))
        if len(seen) == 1:
            world.store.write(records.update, replace(job.record, private={"intent": {"stop": True}}))
        return Move("Failed", {"times": len(seen)})

    @machine.end
    def release(_job, _world):
        ended.set()

    record = drive(ended)
    assert seen == [None, True]
    assert passed(record) == ["A", "Failed"]
    assert record.document["times"] == 2
    assert record.private["intent"] == {"stop": True}


def test_a_step_that_raises_is_tried_again_and_then_fails_the_record_with_its_error(
    world, machine, drive, monkeypatch
):
    monkeypatch.setattr("clary.engine.worker.RETRY_S", 0.0001)
    ended, tries = threading.Event(), []

    @machine.step("A")
    def step(_job, _world):
        tries.append(1)
        raise RuntimeError("the moon is full")

    @machine.end
    def release(_job, _world):
        ended.set()

    record = drive(ended)
    assert len(tries) == MAX_STEP_FAULTS
    assert record.status == "Failed"
    assert "the moon is full" in record.document["FailureReason"]


def test_a_move_to_another_node_leaves_the_machine_to_that_one(world, machine, drive):
    moved = threading.Event()

    @machine.step("A")
    def step(_job, _world):
        moved.set()
        return Move("A", node="another", after_s=3600.0)

    drive(moved)
    assert world.store.read(work.find, ARN).node == "another"


def test_a_move_over_a_missing_edge_counts_as_a_fault_and_changes_nothing(world, machine, drive):
    tried = threading.Event()

    @machine.step("A")
    def step(_job, _world):
        tried.set()
        return Move("Done", {"never": True})

    record = drive(tried)
    assert passed(record) == ["A"]
    assert "never" not in record.document


def test_a_record_that_is_gone_takes_its_machine_along(world, machine, drive):
    tried = threading.Event()

    @machine.step("A")
    def step(job, world):
        record = job.record
        world.store.write(records.delete, record.account, record.region, record.noun, record.key)
        tried.set()
        return Move("B")

    assert drive(tried) is None
    assert world.store.read(work.find, ARN) is None


def test_a_wake_during_a_step_runs_the_next_one_at_once(world, machine, drive):
    ended, n_steps = threading.Event(), []

    @machine.step("A")
    def step(_job, world):
        n_steps.append(1)
        if len(n_steps) == 1:
            world.store.write(work.wake, ARN, now())
            return Move("A", after_s=3600.0)
        ended.set()
        return Move("A", after_s=3600.0)

    drive(ended)
    assert len(n_steps) == 2


def test_what_an_earlier_life_held_is_driven_at_once(world, machine, drive):
    ended = threading.Event()
    owner = Worker(world, {"Thing": machine}).owner
    arm(world)
    assert world.store.write(work.claim, now(), owner, 9, LEASE_S)

    @machine.step("A")
    def step(_job, _world):
        ended.set()
        return Move("A", after_s=3600.0)

    drive(ended, is_armed=False)


def test_two_workers_commit_each_move_once(world, machine, drive):
    ended, n_released = threading.Event(), []

    @machine.step("A", "B")
    def step(job, _world):
        n = job.get("n", 0) + 1
        if n == 40:
            return Move("Done" if job.state == "B" else "B", {"n": 0 if job.state == "A" else n})
        return Move(job.state, {"n": n}, after_s=0.0001)

    @machine.end
    def release(_job, _world):
        n_released.append(1)
        ended.set()

    other = Worker(world, {"Thing": machine}, width=4)
    other.owner = "another machine"
    other.start()
    record = drive(ended)
    other.close()
    assert passed(record) == ["A", "B", "Done"]
    assert record.document["n"] == 40
    assert record.version == 1 + 80
    assert n_released == [1]
