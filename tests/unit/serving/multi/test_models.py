"""The models of a multi-model replica: who is unloaded, who waits, who is refused."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clary.serving.handlers import base
from clary.serving.multi import models as module
from clary.serving.multi.models import FailedError, Models, Slot
from clary.serving.multi.supply import MissingError, Staged

MIB = 1024 * 1024


class Supply:
    """Has every model but `absent`; each has as many MiB as its name says."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.released: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def fetch(self, name: str) -> Staged:
        if name == "slow":
            assert self.gate.wait(30)
        if name == "absent":
            raise MissingError("there is no such model")
        self.fetched.append(name)
        size = int(name.rpartition("-")[2]) if "-" in name else 1
        return Staged(Path("/nowhere") / name, name, size * MIB)

    def release(self, label: str) -> None:
        self.released.append(label)

    def tell(self, metrics: Any) -> None:
        pass


@pytest.fixture
def supply():
    return Supply()


@pytest.fixture
def models(supply, tmp_path, monkeypatch):
    def load(_kind: str, _name: str, folder: Path, _environ: Any) -> Any:
        if folder.parent.name == "broken" or folder.name == "broken":
            raise ValueError("broken")
        return SimpleNamespace(is_concurrent=True, name=folder.name)

    monkeypatch.setattr(base, "load", load)
    monkeypatch.setattr(module, "private_bytes", lambda *_: 0)
    return Models(
        supply,
        cast(Any, None),
        tmp_path,
        kind_of=lambda _folder: "builtin",
        name="xgboost",
        environ={},
        most_bytes=10 * MIB,
    )


def ask(models: Models, name: str) -> Slot | FailedError:
    found: list[Slot | FailedError] = []
    ready = threading.Event()

    def wait(slot: Slot | FailedError) -> None:
        found.append(slot)
        ready.set()

    slot = models.ask(name, wait)
    if slot is not None:
        return slot
    assert ready.wait(30)
    return found[0]


def test_a_model_is_brought_in_once(models, supply):
    first = ask(models, "a")
    assert isinstance(first, Slot)
    assert ask(models, "a") is first
    assert supply.fetched == ["a"]


def test_the_one_that_was_asked_longest_ago_makes_room(models, supply):
    for name in ("a-4", "b-4"):
        ask(models, name)
    ask(models, "a-4")
    ask(models, "c-4")
    assert set(models.loaded()) == {"a-4", "c-4"}
    assert supply.released == ["b-4"]
    ask(models, "b-4")
    assert set(models.loaded()) == {"b-4", "c-4"}


def test_a_model_larger_than_all_memory_unloads_nobody(models, supply):
    ask(models, "a-4")
    refused = ask(models, "b-11")
    assert isinstance(refused, FailedError)
    assert refused.status == 507
    assert set(models.loaded()) == {"a-4"}
    assert "b-11" in supply.released


def test_what_fails_is_tried_again_by_the_next(models):
    for _ in range(2):
        failed = ask(models, "broken")
        assert isinstance(failed, FailedError)
        assert (failed.status, failed.fault) == (500, "")
    missing = ask(models, "absent")
    assert isinstance(missing, FailedError)
    assert (missing.status, missing.fault) == (400, "ValidationError")
    assert models.loaded() == {}


def test_all_who_wait_for_a_model_hear_of_it_and_others_do_not_wait(models, supply):
    supply.gate.clear()
    heard: list[Slot | FailedError] = []
    enough = threading.Semaphore(0)

    def wait(slot: Slot | FailedError) -> None:
        heard.append(slot)
        enough.release()

    for _ in range(3):
        assert models.ask("slow", wait) is None
    assert isinstance(ask(models, "quick"), Slot)
    assert heard == []
    supply.gate.set()
    for _ in range(3):
        assert enough.acquire(timeout=30)
    assert len({id(each) for each in heard}) == 1
    assert supply.fetched.count("slow") == 1
