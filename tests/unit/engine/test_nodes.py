"""Several nodes over one store, their beats by hand: who is silent, who is lost, where new machines go."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from clary.compute.base import RunKind, RunSpec, Runtime, Size
from clary.engine import runs as engine_runs
from clary.engine.nodes import BEAT_S, SILENT_S, Nodes, identity
from clary.engine.world import World
from clary.kernel.clock import now
from clary.kernel.errors import AccessDenied, SetupError
from clary.kernel.settings import Settings
from clary.store import identities, runs, work
from clary.store import nodes as rows
from clary.store.database import Store
from clary.store.work import Work

PLACED, KEPT = frozenset({"TrainingJob", "NotebookInstance"}), frozenset({"NotebookInstance"})
LOST_S = 30.0


@pytest.fixture
def store():
    with Store.open("sqlite://") as store:
        yield store


@pytest.fixture
def clock(monkeypatch):
    """Return a function that lets time pass for all nodes."""
    passed = [100.0]
    monkeypatch.setattr("clary.engine.nodes.time.monotonic", lambda: passed[0])

    def wait(seconds):
        passed[0] += seconds

    return wait


class Place:
    """A placement of which only the end of runs is seen."""

    def __init__(self):
        self.discarded = []
        self.forsaken = []

    def discard(self, run_id):
        self.discarded.append(run_id)

    def forsake(self, node):
        self.forsaken.append(node)


@pytest.fixture
def entered(store, tmp_path, clock):
    """Return a function that has a node enter, without its thread."""

    def enter(name, **calls):
        settings = Settings(data_dir=tmp_path / name, node_lost_s=LOST_S)
        settings.runs_dir.mkdir(parents=True, exist_ok=True)
        world = World(settings=settings, store=store, clock=now, secret=b"s", objects={}, node=name)
        world.placement = cast(Any, Place())
        node = Nodes(world, placed=PLACED, kept=KEPT, **calls)
        node._enter()
        return node

    return enter


def beat(clock, *alive, times=1):
    for _ in range(times):
        clock(BEAT_S)
        for each in alive:
            each.beat()


def arm(store, arn, noun="TrainingJob", node=""):
    store.write(work.arm, Work(arn, noun, "Starting", now()))
    store.write(rows.leave, node, arn)


def test_a_node_that_does_not_stir_is_silent_and_its_leases_are_void(store, entered, clock):
    doubted = []
    a, b = entered("a", doubt=lambda: doubted.append(1)), entered("b")
    beat(clock, a, b, times=2)
    arm(store, "arn:1")
    (held,) = store.write(work.claim, now(), "b", 1, 30.0)
    beat(clock, a, times=int(SILENT_S) - 1)
    assert not doubted
    assert store.read(work.find, "arn:1").lease_token == held.lease_token
    beat(clock, a, times=2)
    assert doubted
    assert store.read(work.find, "arn:1").lease_token is None
    assert {each["node"]: each["is_silent"] for each in a.every()} == {"a": False, "b": True}


def test_a_lost_nodes_machines_are_anybodys_but_for_those_whose_data_it_has(store, entered, clock):
    lost = []
    a, b = entered("a", lost=lambda: lost.append(1)), entered("b")
    beat(clock, a, b)
    arm(store, "arn:job", node="b")
    arm(store, "arn:notebook", "NotebookInstance", node="b")
    beat(clock, a, times=int(LOST_S) + 2)
    assert lost
    assert cast(Any, a._world.placement).forsaken == ["b"]
    assert store.read(rows.find, "b") is None
    assert store.read(work.find, "arn:job").node == ""
    assert store.read(work.find, "arn:notebook").node == "b"


def test_nobody_is_lost_while_nobody_reaches_the_database(store, entered, clock):
    a, b = entered("a"), entered("b")
    beat(clock, a, b)
    clock(10 * LOST_S)  # no beat of any node got through
    beat(clock, a, b, times=3)
    assert [each["is_silent"] for each in a.every()] == [False, False]
    assert len(store.read(rows.every)) == 2


def test_a_node_that_was_taken_for_lost_ends_what_others_have_taken_over(store, entered, clock):
    a, b = entered("a"), entered("b")
    beat(clock, a, b)
    folder = b._world.settings.runs_dir
    for run_id, node in (("given-up", "b"), ("still-mine", "b"), ("of-nobody", "b")):
        (folder / run_id).mkdir()
        (folder / run_id / "spec.json").write_text(json.dumps({}))
        arm(store, f"arn:{run_id}", node=node)
        store.write(runs.open_run, run_id, f"arn:{run_id}", "", "", {})
    beat(clock, a, times=int(LOST_S) + 2)
    store.write(rows.leave, "a", "arn:given-up")
    beat(clock, b)
    assert cast(Any, b._world.placement).discarded == ["given-up"]
    assert store.read(work.find, "arn:of-nobody").node == "b"
    beat(clock, a, b, times=3)
    assert {each.node_id for each in store.read(rows.every)} == {"a", "b"}


def test_a_machine_that_was_given_to_a_node_just_lost_is_anybodys_again(store, entered, clock):
    a = entered("a")
    arm(store, "arn:job", node="gone")
    arm(store, "arn:notebook", "NotebookInstance", node="gone")
    beat(clock, a)
    assert store.read(work.find, "arn:job").node == ""
    assert store.read(work.find, "arn:notebook").node == "gone"


def test_new_machines_go_where_there_is_most_room_and_stay_at_home_among_equals(store, entered, clock):
    a, b = entered("a"), entered("b")
    beat(clock, a, b, times=2)
    assert [a.choose("TrainingJob") for _ in range(4)] == ["a", "b", "a", "b"]
    assert a.choose("HyperParameterTuningJob") == ""
    for n in range(5):
        arm(store, f"arn:{n}", node="a")
    beat(clock, a, b)
    assert {a.choose("TrainingJob") for _ in range(4)} == {"b"}
    beat(clock, a, times=int(SILENT_S) + 2)
    assert a.choose("TrainingJob") == "a"  # nothing goes to a silent one


def test_another_life_of_a_peer_puts_in_doubt_what_its_last_one_committed(entered, clock):
    doubted = []
    a, b = entered("a", doubt=lambda: doubted.append(1)), entered("b")
    beat(clock, a, b, times=2)
    assert not doubted
    entered("b")
    beat(clock, a)
    assert doubted
    b._closing.set()


def test_a_copied_data_folder_is_refused_while_its_original_lives(store, entered, clock, monkeypatch):
    a = entered("a")
    other = entered("b")
    other._world.node = "a"

    def sleep(_seconds):
        a.beat()

    monkeypatch.setattr("clary.engine.nodes.time.sleep", sleep)
    with pytest.raises(SetupError, match="a copy of that one's"):
        other.start()


def test_a_node_keeps_its_id_and_one_alone_over_the_embedded_store_has_none(tmp_path):
    settings = Settings(data_dir=tmp_path, store_url="postgresql://somewhere/clary")
    first = identity(settings)
    assert first
    assert identity(settings) == first
    assert identity(replace(settings, store_url="")) == ""
    assert Path(tmp_path / "node").read_text().strip() == first


def test_a_run_that_a_lost_node_opened_is_opened_anew_and_the_old_ones_token_is_void(store, entered):
    a, b = entered("a")._world, entered("b")._world
    spec = RunSpec(
        run_id="run-1",
        kind=RunKind.TRAINING,
        account="111122223333",
        region="us-east-1",
        name="job",
        arn="arn:job",
        runtime=Runtime(kind="builtin", name="xgboost"),
        size=Size(cpus=1, memory_mib=1024),
    )
    told = []
    b.publish = lambda *what: told.append(what)
    old = engine_runs.open_run(a, spec, role_arn="", context={})
    again = engine_runs.open_run(a, spec, role_arn="", context={})
    assert (again.token, again.objects) == (old.token, old.objects)
    assert engine_runs.is_elsewhere(b, "run-1")
    assert not engine_runs.is_elsewhere(a, "run-1")
    new = engine_runs.open_run(b, spec, role_arn="", context={})
    for world in (a, b):
        engine_runs.check_token(world, "run-1", "report", f"Bearer {new.token}")
        with pytest.raises(AccessDenied):
            engine_runs.check_token(world, "run-1", "report", f"Bearer {old.token}")
    assert store.read(identities.find, old.objects["access_key"]) is None
    assert ("credential", old.objects["access_key"], None) in told


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:4747"),
        ({"host": "0.0.0.0"}, "https://one.example.com:4747"),
        ({"host": "0.0.0.0", "advertise": "ml-1.example.com:443"}, "https://ml-1.example.com:443"),
    ],
)
def test_other_nodes_reach_it_by_name_over_tls_but_for_those_of_its_own_machine(
    entered, monkeypatch, given, url
):
    monkeypatch.setattr("clary.engine.nodes.socket.getfqdn", lambda: "one.example.com")
    node = entered("a")
    node._world.settings = replace(node._world.settings, **given)
    assert node._told()["url"] == url
