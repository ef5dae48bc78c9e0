"""Deliveries: durable, posted once, tried again, whoever is slow."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clary.engine.world import World
from clary.gateway.control.deliveries import Deliveries
from clary.kernel.clock import now
from clary.kernel.settings import Settings
from clary.services.sns._publishing import Message, publish, publish_to
from clary.services.sns._records import CONFIRMED, DELIVERIES, DELIVERY, SUBSCRIPTION, TOPIC, every
from clary.store import records
from clary.store.database import Store
from clary.store.records import Record
from clary.testing.subscriber import Subscriber, subscriber

TOPIC_ARN = "arn:aws:sns:us-east-1:123456789012:t"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open("sqlite://") as store:
        settings = Settings.load({}, data_dir=tmp_path)
        yield World(settings=settings, store=store, clock=now, secret=b"s", objects={})


@pytest.fixture
def web() -> Iterator[Subscriber]:
    with subscriber() as made:
        yield made


@pytest.fixture
def topic(world: World, web: Subscriber) -> Record:
    moment = now()
    made = Record("123456789012", "us-east-1", TOPIC, "t", TOPIC_ARN, "", moment, moment, {})
    document = {"TopicArn": TOPIC_ARN, "Protocol": "http", "Endpoint": web.url}
    listening = Record(
        made.account, made.region, SUBSCRIPTION, "t:1", f"{TOPIC_ARN}:1", CONFIRMED, moment, moment, document
    )
    world.store.write(records.insert, made)
    world.store.write(records.insert, listening)
    return made


def waiting(world: World) -> list[Record]:
    found: list[Record] = world.store.read(every, *DELIVERIES, DELIVERY)
    return found


def await_none(world: World) -> None:
    deadline = time.monotonic() + 60
    while waiting(world):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_an_earlier_life_left_is_posted(world: World, topic: Record, web: Subscriber) -> None:
    publish(world, topic, Message(text="kept"))  # nobody delivers yet
    assert len(waiting(world)) == 1
    deliveries = Deliveries(world).start()
    web.await_one(lambda _, body: "kept" in body)
    await_none(world)
    deliveries.close()


def test_a_message_published_twice_under_one_id_is_delivered_once(world: World, topic: Record) -> None:
    for _ in range(2):
        publish(world, topic, Message(text="x", id="one"))
    assert len(waiting(world)) == 1
    assert "no topic" in publish_to(world, TOPIC_ARN + "x", Message(text="x"))


def test_a_failed_delivery_waits_for_its_next_try_and_is_kept(
    world: World, topic: Record, web: Subscriber
) -> None:
    web.statuses = [503]
    deliveries = Deliveries(world).start()
    publish(world, topic, Message(text="again"))
    deadline = time.monotonic() + 60
    while not any(each.document["tries"] for each in waiting(world)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    deliveries.close()
    (left,) = waiting(world)
    assert left.document["due"] - now().timestamp() == pytest.approx(20, abs=15)
    world.clock = lambda: now() + timedelta(seconds=60)
    later = Deliveries(world).start()
    await_none(world)
    assert len(web.notifications()) == 2
    later.close()


def test_nobody_listening_is_told_when_the_tries_are_used_up(
    world: World, topic: Record, web: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(Deliveries, "_tell", lambda _self, _document, why, tries: told.append((why, tries)))
    found = world.store.read(records.find, topic.account, topic.region, SUBSCRIPTION, "t:1")
    assert found is not None
    document = {**found.document, "Endpoint": "http://127.0.0.1:1/"}
    changed = replace(found, document=document, private={"policy": {"numRetries": 0}})
    world.store.write(records.update, changed)
    deliveries = Deliveries(world).start()
    publish(world, topic, Message(text="x"))
    await_none(world)
    deliveries.close()
    assert [tries for _, tries in told] == [1]
    assert "Refused" in told[0][0]
