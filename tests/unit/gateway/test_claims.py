"""Work that lies in the store for any control plane: done by one of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clary.engine.world import World
from clary.gateway.control import asynchronous
from clary.gateway.control.asynchronous import NOUN, SCOPE, Invocations
from clary.gateway.control.claims import claim
from clary.kernel.settings import Settings
from clary.serving.scaling.usage import Key, Usage
from clary.store import records
from clary.store.database import Store
from clary.store.records import Record

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ACCOUNT, REGION = "111122223333", "us-east-1"


@pytest.fixture
def store():
    with Store.open("sqlite://") as store:
        yield store


@pytest.fixture
def moment():
    """Return what all clocks show; a test moves it."""
    return [NOW]


@pytest.fixture
def world_of(store, moment):
    def make(node):
        settings = Settings(data_dir=Path("/nowhere"))
        return World(
            settings=settings, store=store, clock=lambda: moment[0], secret=b"s", objects={}, node=node
        )

    return make


def insert(store, key="k", document=None):
    record = Record(*SCOPE, NOUN, key, "", "Queued", NOW, NOW, document or {})
    return store.write(records.insert, record) or store.read(records.find, *SCOPE, NOUN, key)


def test_one_node_claims_and_others_wait_until_its_time_is_over(store, world_of, moment):
    record = insert(store)
    a, b = world_of("a"), world_of("b")
    mine, again = claim(a, record, 30.0)
    assert again == 0.0
    until = (NOW + timedelta(seconds=30)).timestamp()
    assert claim(b, mine, 30.0) == (mine, until)
    assert claim(a, mine, 30.0)[1] == 0.0  # its own earlier life's
    moment[0] = NOW + timedelta(seconds=31)
    found = store.read(records.find, *SCOPE, NOUN, "k")
    assert claim(b, found, 30.0)[1] == 0.0


def test_of_two_that_claim_what_they_read_before_one_is_told_to_look_again(store, world_of):
    record = insert(store)
    assert claim(world_of("a"), record, 30.0)[1] == 0.0
    assert claim(world_of("b"), record, 30.0)[1] > NOW.timestamp()


def test_where_there_is_one_control_plane_nothing_is_written(store, world_of):
    record = insert(store)
    assert claim(world_of(""), record, 30.0) == (record, 0.0)
    assert store.read(records.find, *SCOPE, NOUN, "k") == record


def test_an_asynchronous_invocation_is_answered_by_the_node_of_its_endpoint(store, world_of, monkeypatch):
    key = Key(ACCOUNT, REGION, "ep", "v")
    route = {"node": "a", "variants": [{"replicas": [{"id": "1", "address": "/r"}]}]}
    private = {"route": route}
    store.write(
        records.insert,
        Record(ACCOUNT, REGION, "Endpoint", "ep", "arn:ep", "InService", NOW, NOW, {}, private),
    )
    insert(store, "job", {"id": "job", "variant": list(key), "since": NOW.timestamp(), "failure": ""})
    answered = []
    nodes = {}
    for name in ("a", "b"):
        world = world_of(name)
        world.extras["usage"] = Usage(NOW.timestamp())
        nodes[name] = Invocations(world)
        monkeypatch.setattr(
            nodes[name], "_answer", lambda job, address, _key, name=name: answered.append((name, address))
        )
    monkeypatch.setattr(asynchronous, "LOOK_S", 0.01)
    for node in nodes.values():
        node._adopt()
        node._serve(key)
        node._pool.shutdown(wait=True)
    assert answered == [("a", "/r")]
    assert store.read(records.find, *SCOPE, NOUN, "job") is None
    assert not nodes["b"]._queues.get(key)
