"""Hosts on a cluster's nodes, from the mirrored folders, with a cluster that is told of by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.cli import far
from clary.compute.base import RunKind
from clary.compute.cluster import names
from clary.compute.cluster.remote import RemoteRun
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.testing.placement_suite import spec_of


class Driver:
    """A link that tells what a cluster of one node would."""

    orders: list[tuple[str, dict[str, Any]]]

    def __init__(self, settings: Settings, name: str, hear: Any) -> None:
        self.hear, self.orders = hear, []
        made.append(self)

    def start(self) -> None:
        self.hear({"event": "nodes", "nodes": [{"id": "n1"}]})
        self.hear({"event": "keeper", "node": "n1", "hosts": [["run-a", "algo-1"]]})

    def send(self, do: str, **order: Any) -> None:
        self.orders.append((do, order))
        if do == "stop":
            self.hear({"event": "news", "run": order["run"], "host": order["host"], "live": False})

    def close(self) -> None:
        pass


made: list[Driver] = []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "cluster").mkdir()
    found = Settings(data_dir=tmp_path, cluster="ray://10.0.0.1:10001")
    names.remember(found)
    for run_id, node, kind in (("run-a", "n1", RunKind.SERVING), ("run-b", "n2", RunKind.TRAINING)):
        spec = replace(spec_of("true", kind=kind), run_id=run_id)
        run = RemoteRun(spec, tmp_path / "cluster" / run_id, arrived_ns=1, slot=0)
        run.write()
        run.seat({"algo-1": node}, {"algo-1": "10.0.0.1"})
    return replace(found, cluster="")


def test_what_lives_on_nodes_is_seen(settings: Settings) -> None:
    assert [(each.run_id, each.kind) for each in far.alive(settings)] == [
        ("run-a", "serving"),
        ("run-b", "training"),
    ]
    assert not far.wait(settings, 0.0, but="serving")


def test_each_is_asked_to_end_and_those_of_lost_nodes_are_lost(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(far, "Link", Driver)
    monkeypatch.setattr(far, "check", lambda _cluster: None)
    far.end(settings, 5.0)
    assert [(do, order["run"]) for do, order in made.pop().orders] == [("stop", "run-a")]
    assert not far.alive(settings)


def test_where_the_cluster_is_must_be_known(settings: Settings) -> None:
    (settings.data_dir / "cluster.where").unlink()
    assert names.remembered(settings) is settings
    with pytest.raises(SetupError, match="CLARY_CLUSTER"):
        far.end(settings, 5.0)
    with pytest.raises(SetupError):
        names.advertised(replace(settings, advertise="nowhere"))
