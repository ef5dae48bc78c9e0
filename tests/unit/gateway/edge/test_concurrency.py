"""The stage of concurrency: what is let in is counted, and counts that rest are let go of."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clary.gateway.edge.stages.base import Reply
from clary.gateway.edge.stages.concurrency import REST_S, Concurrency


class Asked:
    """An invocation, as far as the stage looks at it."""

    def __init__(self, file: Path) -> None:
        document = {"concurrency": {"file": str(file), "most": 1}}
        self.leg = SimpleNamespace(document=document, key=SimpleNamespace(endpoint="e"))
        self.refused: list[Any] = []
        self.refuse = self.refused.append


@pytest.fixture
def stage() -> tuple[Any, list[float]]:
    now = [0.0]
    site: Any = SimpleNamespace(clock=lambda: now[0], limits=SimpleNamespace(invocation_s=60.0))
    return Concurrency(site), now


def n_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_more_than_the_limit_is_refused_until_one_is_answered(
    stage: tuple[Any, list[float]], tmp_path: Path
) -> None:
    one, two, three = [Asked(tmp_path / "count") for _ in range(3)]
    made, _now = stage
    assert made.ask(one)
    assert not made.ask(two)
    assert two.refused
    made.told(one, Reply(200))
    assert made.ask(three)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted in /proc")
def test_a_count_that_rests_lets_go_of_its_descriptor_and_is_made_again(
    stage: tuple[Any, list[float]], tmp_path: Path
) -> None:
    made, now = stage
    before = n_descriptors()
    for n in range(5):
        one = Asked(tmp_path / f"count-{n}")
        assert made.ask(one)
        if n:
            made.told(one, Reply(200))
    now[0] = REST_S + 1.0
    made.sweep(now[0])
    assert n_descriptors() == before + 1  # of the invocation that is not answered yet
    again = Asked(tmp_path / "count-0")
    assert not made.ask(again)
    assert made.ask(Asked(tmp_path / "count-1"))
    made.close()
