"""The placement on a cluster, told by hand what its nodes do; `tests/suites/test_ray.py` has real ones."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary import __version__
from clary.compute.base import RunKind, RunPhase, RunSpec, Size
from clary.compute.cluster import turns
from clary.compute.cluster.names import namespace
from clary.compute.cluster.remote import MIB
from clary.compute.placements import ray
from clary.compute.placements.ray import RayPlacement
from clary.kernel.errors import ResourceLimitExceeded
from clary.kernel.settings import Settings
from clary.testing.placement_suite import spec_of, until

LEASE_S = 1000.0
ROOM = {"CPU": 4.0, "memory": 8_192.0 * MIB}


class Driver:
    """A link to a cluster that does what the test says."""

    def __init__(
        self, _settings: Settings, name: str, hear: Callable[[dict[str, Any]], None], **_: Any
    ) -> None:
        self.name, self.hear = name, hear
        self.orders: list[tuple[str, dict[str, Any]]] = []

    def start(self) -> None:
        pass

    close = start

    def send(self, do: str, **order: Any) -> None:
        self.orders.append((do, order))

    def of(self, do: str) -> list[dict[str, Any]]:
        return [order for name, order in self.orders if name == do]

    def nodes(self, *names: str) -> None:
        found = [{"id": name, "address": f"10.0.0.{name[1:]}", "resources": ROOM} for name in names]
        self.hear({"event": "nodes", "nodes": found})

    def keepers(self, *names: str, hosts: tuple[tuple[str, str], ...] = ()) -> None:
        for name in names:
            self.hear(
                {
                    "event": "keeper",
                    "node": name,
                    "address": "10.0.0.1",
                    "version": __version__,
                    "hosts": hosts,
                }
            )


@pytest.fixture
def placement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayPlacement]:
    monkeypatch.setattr(ray, "Link", Driver)
    monkeypatch.setattr(ray, "check", lambda _cluster: None)
    settings = Settings(data_dir=tmp_path, cluster="ray://10.0.0.1:10001", cluster_lease_s=LEASE_S)
    made = RayPlacement(settings, uses_zygote=False)
    yield made
    made.close()


@pytest.fixture
def driver(placement: RayPlacement) -> Driver:
    found: Any = placement._link
    found.hear({"event": "connected"})
    return found  # type: ignore[no-any-return]


def replica(name: str = "", **members: Any) -> RunSpec:
    spec = spec_of("true", kind=RunKind.SERVING, **members)
    return replace(spec, arn=f"arn:endpoint/{name}")


def test_replicas_go_to_a_node_each(placement: RayPlacement, driver: Driver) -> None:
    driver.nodes("n1", "n2", "n3")
    driver.keepers("n1", "n2", "n3")
    for _ in range(3):
        placement.launch(replica())
    assert sorted(order["node"] for order in driver.of("begin")) == ["n1", "n2", "n3"]
    assert not driver.of("seat")


def test_a_replica_waits_for_keepers_that_have_not_answered_but_not_for_long(
    placement: RayPlacement, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.nodes("n1", "n2")
    driver.keepers("n1")
    placement.launch(replica())
    assert not driver.of("begin")
    monkeypatch.setattr(ray, "KEEPERS_NS", 0)
    driver.nodes("n1", "n2")
    assert [order["node"] for order in driver.of("begin")] == ["n1"]


def test_a_replica_does_not_wait_behind_jobs(placement: RayPlacement, driver: Driver) -> None:
    driver.nodes("n1")
    driver.keepers("n1")
    placement.launch(spec_of("true"))
    placement.launch(spec_of("true"))
    placement.launch(replica())
    assert len(driver.of("seat")) == 1
    assert len(driver.of("begin")) == 1


def test_replicas_with_gpus_have_a_line_of_their_own(
    placement: RayPlacement, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROOM, "GPU", 1.0)
    driver.nodes("n1")
    driver.keepers("n1")
    placement.launch(spec_of("true"))
    placement.launch(replica(size=Size(cpus=1, memory_mib=256, gpus=1)))
    assert [order["bundle"].get("GPU") for order in driver.of("seat")] == [None, 1.0]


def test_more_gpus_than_any_node_has_had_are_refused(
    placement: RayPlacement, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROOM, "GPU", 2.0)
    driver.nodes("n1")
    with pytest.raises(ResourceLimitExceeded, match=r"a host of .* needs 4 GPUs; the largest node has 2"):
        placement.launch(spec_of("true", size=Size(cpus=1, memory_mib=256, gpus=4)))
    isolated = spec_of(
        "true",
        hosts=("algo-1", "algo-2"),
        size=Size(cpus=1, memory_mib=256, gpus=2),
        request={"EnableNetworkIsolation": True},
    )
    with pytest.raises(ResourceLimitExceeded, match=r"2 hosts of .* need 4 GPUs"):
        placement.launch(isolated)


def test_a_job_that_no_node_could_hold_now_lets_others_pass_until_one_can(
    placement: RayPlacement, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROOM, "GPU", 1.0)
    driver.nodes("n1", "n2")
    monkeypatch.delitem(ROOM, "GPU")
    driver.nodes("n2")
    driver.keepers("n2")
    waits = spec_of("true", size=Size(cpus=1, memory_mib=256, gpus=1))
    gang, passes = spec_of("true", hosts=("algo-1", "algo-2")), spec_of("true")
    for spec in (waits, gang, passes):
        placement.launch(spec)
    assert [order["run"] for order in driver.of("seat")] == [passes.run_id]
    driver.hear({"event": "seated", "turn": 1, "run": passes.run_id, "nodes": ["n2"]})
    monkeypatch.setitem(ROOM, "GPU", 1.0)
    driver.nodes("n2", "n3")
    assert driver.of("seat")[-1]["run"] == waits.run_id


def test_a_gang_gives_way_when_a_node_that_it_needs_leaves(placement: RayPlacement, driver: Driver) -> None:
    driver.nodes("n1", "n2")
    driver.keepers("n1", "n2")
    gang, passes = spec_of("true", hosts=("algo-1", "algo-2")), spec_of("true")
    placement.launch(gang)
    placement.launch(passes)
    driver.nodes("n1")
    assert [order["run"] for order in driver.of("seat")] == [gang.run_id, passes.run_id]
    assert driver.of("drop")[-1] == {"run": gang.run_id, "at": {}}


def test_a_job_passes_a_gang_whose_node_is_busy_until_its_minute_is_over(
    placement: RayPlacement, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.nodes("n1", "n2")
    driver.keepers("n1", "n2")
    whole, small = Size(cpus=4, memory_mib=8_192), Size(cpus=1, memory_mib=64)
    long, gang = spec_of("true", size=whole), spec_of("true", size=whole, hosts=("algo-1", "algo-2"))
    first, second = spec_of("true", size=small), spec_of("true", size=small)
    placement.launch(long)
    driver.hear({"event": "seated", "turn": 1, "run": long.run_id, "nodes": ["n1"]})
    for spec in (gang, first, second):
        placement.launch(spec)
    assert [order["run"] for order in driver.of("seat")] == [long.run_id, gang.run_id, first.run_id]
    driver.hear({"event": "seated", "turn": 1, "run": first.run_id, "nodes": ["n2"]})
    assert driver.of("seat")[-1]["run"] == second.run_id
    monkeypatch.setattr(turns, "PASS_S", 0.0)
    driver.nodes("n1", "n2")
    assert driver.of("drop") == [{"run": second.run_id, "at": {}}]
    driver.hear({"event": "seated", "turn": 1, "run": second.run_id, "nodes": ["n2"]})
    assert placement.poll(second.run_id).phase is RunPhase.QUEUED, "it was called back"
    placement.discard(long.run_id)
    driver.hear({"event": "seated", "turn": 1, "run": gang.run_id, "nodes": ["n1", "n2"]})
    assert driver.of("seat")[-1] == {**driver.of("seat")[-1], "run": second.run_id, "turn": 2}


def test_a_replica_of_a_node_that_is_gone_is_lost_at_once_and_a_job_when_its_lease_is_over(
    placement: RayPlacement, driver: Driver
) -> None:
    driver.nodes("n1")
    driver.keepers("n1")
    job, serving = spec_of("true"), replica()
    placement.launch(job)
    placement.launch(serving)
    driver.hear({"event": "seated", "turn": 1, "run": job.run_id, "nodes": ["n1"]})
    driver.nodes("n2")
    until(lambda: placement.poll(serving.run_id).phase is RunPhase.LOST, "the replica is lost")
    assert placement.poll(job.run_id).phase is RunPhase.STARTING


def test_what_comes_back_after_it_was_replaced_is_ended(placement: RayPlacement, driver: Driver) -> None:
    driver.nodes("n1")
    driver.keepers("n1")
    serving = replica()
    placement.launch(serving)
    placement.discard(serving.run_id)
    driver.orders.clear()
    driver.keepers("n1", hosts=((serving.run_id, "algo-1"),))
    assert driver.of("drop") == [{"run": serving.run_id, "at": {"algo-1": "n1"}}]


def test_a_lost_control_plane_is_forsaken_until_the_cluster_has_heard_of_it(
    placement: RayPlacement, driver: Driver
) -> None:
    placement.forsake("b")
    driver.hear({"event": "connected"})
    assert driver.of("forsake") == [{"name": "clary-b"}] * 2
    driver.hear({"event": "forsaken", "name": "clary-b"})
    driver.hear({"event": "connected"})
    assert len(driver.of("forsake")) == 2


def test_a_replica_with_an_accelerator_stays_here(
    placement: RayPlacement, driver: Driver, tmp_path: Path
) -> None:
    spec = replica(request={"AcceleratorType": "ml.eia2.medium"})
    placement.launch(spec)
    assert (tmp_path / "runs" / spec.run_id / "spec.json").exists()
    placement.discard(spec.run_id)


def test_a_cluster_knows_a_node_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "node").write_text("a-node\n")
    assert namespace(Settings(data_dir=tmp_path)) == "clary-a-node"
