from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.compute.base import RunKind, RunPhase, Size
from clary.compute.cluster.remote import MIB, RemoteRun, roomiest
from clary.testing.placement_suite import spec_of

LARGE = {"CPU": 8.0, "memory": 16_384.0 * MIB}
SMALL = {"CPU": 2.0, "memory": 4_096.0 * MIB}
RESULT = {"outcome": "succeeded", "phase": "Training", "exit_code": 0}


def nodes(*resources: dict[str, float]) -> list[dict[str, Any]]:
    return [{"id": str(n), "address": f"10.0.0.{n}", "resources": each} for n, each in enumerate(resources)]


def run_of(folder: Path, *, n: int = 1, size: Size | None = None, **request: object) -> RemoteRun:
    hosts = tuple(f"algo-{each + 1}" for each in range(n))
    spec = spec_of("true", hosts=hosts, size=size or Size(cpus=4, memory_mib=8_192), request=request)
    run = RemoteRun(spec, folder / "run", arrived_ns=1, slot=0)
    run.write()
    return run


def test_a_place_has_what_the_instance_type_has(tmp_path: Path) -> None:
    assert run_of(tmp_path).wanted(nodes(LARGE, SMALL)) == {"CPU": 4.0, "memory": 8_192.0 * MIB}


def test_a_type_larger_than_every_node_gets_the_largest(tmp_path: Path) -> None:
    run = run_of(tmp_path, size=Size(cpus=96, memory_mib=10**7))
    assert run.wanted(nodes(SMALL, LARGE)) == LARGE


def test_a_gang_asks_for_what_as_many_nodes_have(tmp_path: Path) -> None:
    assert run_of(tmp_path, n=2).wanted(nodes(LARGE, SMALL)) == SMALL
    assert run_of(tmp_path, n=2).wanted(nodes(LARGE, SMALL, LARGE))["CPU"] == 4.0


def test_hosts_without_a_network_share_one_node(tmp_path: Path) -> None:
    run = run_of(tmp_path, n=2, size=Size(cpus=8, memory_mib=16_384), EnableNetworkIsolation=True)
    assert not run.is_spread
    assert run.wanted(nodes(LARGE, SMALL)) == {"CPU": 4.0, "memory": 8_192.0 * MIB}
    assert not run_of(tmp_path, n=2, NetworkConfig={"EnableNetworkIsolation": True}).is_spread


def test_hosts_of_real_images_have_a_node_each_unless_they_are_isolated(tmp_path: Path) -> None:
    run = run_of(tmp_path, n=2)
    runtime = replace(run.spec.runtime, kind="container")
    assert RemoteRun(replace(run.spec, runtime=runtime), run.folder, arrived_ns=1, slot=0).is_spread
    isolated = run_of(tmp_path, n=2, EnableNetworkIsolation=True)
    runtime = replace(isolated.spec.runtime, kind="container")
    assert not RemoteRun(replace(isolated.spec, runtime=runtime), run.folder, arrived_ns=1, slot=0).is_spread


def test_what_the_nodes_could_never_hold_at_once_lets_others_pass(tmp_path: Path) -> None:
    assert run_of(tmp_path, n=2).could_start(nodes(LARGE, SMALL))
    assert not run_of(tmp_path, n=3).could_start(nodes(LARGE, SMALL))
    assert run_of(tmp_path, n=3, EnableNetworkIsolation=True).could_start(nodes(LARGE))
    two = Size(cpus=4, memory_mib=8_192, gpus=2)
    assert run_of(tmp_path, n=2, size=two).could_start(nodes({"GPU": 2.0}, {"GPU": 4.0}, LARGE))
    assert not run_of(tmp_path, n=2, size=two).could_start(nodes({"GPU": 4.0}, LARGE))
    assert run_of(tmp_path, n=2, size=two, EnableNetworkIsolation=True).could_start(nodes({"GPU": 4.0}))


def test_gpus_are_asked_of_nodes_that_have_them(tmp_path: Path) -> None:
    run = run_of(tmp_path, size=Size(cpus=4, memory_mib=8_192, gpus=1))
    assert run.wanted(nodes(LARGE, {**SMALL, "GPU": 1.0})) == {**SMALL, "GPU": 1.0}


def test_a_run_is_queued_until_all_hosts_have_places_and_survives_a_restart(tmp_path: Path) -> None:
    run = run_of(tmp_path, n=2)
    assert run.state().phase is RunPhase.QUEUED
    run.bundle = SMALL
    run.seat({"algo-1": "a", "algo-2": "b"}, {"algo-1": "10.0.0.1", "algo-2": "10.0.0.2"})
    again = RemoteRun.read(run.folder)
    assert isinstance(again, RemoteRun)
    assert again.state().phase is RunPhase.STARTING
    assert again.nodes() == {"algo-1": "a", "algo-2": "b"}
    assert again.addresses["algo-2"] == "10.0.0.2"
    assert (again.spec.size.cpus, again.spec.size.memory_mib) == (2, 4_096)


def test_a_host_that_ends_without_a_result_is_lost(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.seat({"algo-1": "a"}, {})
    run.hear("algo-1", {"live": True, "phase": "Training", "address": None, "result": None})
    assert run.state().phase is RunPhase.TRAINING
    run.hear("algo-1", {"live": False})
    assert run.state().phase is RunPhase.LOST


def test_a_result_counts_before_the_agents_end(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.seat({"algo-1": "a"}, {})
    run.hear("algo-1", {"live": True, "phase": "Ended", "result": RESULT})
    assert run.state().live == {"algo-1"}
    run.hear("algo-1", {"live": False, "phase": "Ended", "result": RESULT})
    assert run.state().phase is RunPhase.ENDED
    assert not run.state().live


@pytest.mark.parametrize("n", [1, 2])
def test_only_hosts_on_several_nodes_have_addresses_of_nodes(tmp_path: Path, n: int) -> None:
    run = run_of(tmp_path, n=n, network=False)
    run.seat(dict.fromkeys(run.spec.hosts, "a"), dict.fromkeys(run.spec.hosts, "10.0.0.1"))
    assert not run.addresses


def guest(folder: Path, name: str, *, node: str = "", arn: str = "arn:a", gpus: int = 0) -> RemoteRun:
    """Return an endpoint's replica, begun on a node where one is given."""
    size = Size(cpus=4, memory_mib=8_192, gpus=gpus)
    spec = replace(spec_of("true", size=size), run_id=name, arn=arn, kind=RunKind.SERVING)
    run = RemoteRun(spec, folder / name, arrived_ns=1, slot=0)
    run.write()
    if node:
        run.seat({"algo-1": node}, {"algo-1": "10.0.0.1"})
    return run


def test_replicas_of_an_endpoint_are_spread(tmp_path: Path) -> None:
    there = [guest(tmp_path, "a", node="0"), guest(tmp_path, "b", node="1", arn="arn:b")]
    found = roomiest(guest(tmp_path, "c"), there, nodes(SMALL, SMALL, SMALL))
    assert found is not None
    assert found["id"] == "2"
    found = roomiest(
        guest(tmp_path, "d"), [*there, guest(tmp_path, "e", node="2")], nodes(SMALL, SMALL, SMALL)
    )
    assert found is not None
    assert found["id"] == "1"  # where another endpoint's is


def test_a_replica_waits_where_no_node_has_room(tmp_path: Path) -> None:
    tiny = {"CPU": 1.0, "memory": 1000.0 * MIB}
    there = [guest(tmp_path, "a", node="0")]
    assert roomiest(guest(tmp_path, "b"), there, nodes(tiny)) is None
    there[0].hear("algo-1", {"live": False})
    assert roomiest(guest(tmp_path, "b"), there, nodes(tiny)) is not None


def test_a_replica_with_gpus_reserves_them_alone(tmp_path: Path) -> None:
    run = guest(tmp_path, "a", gpus=2)
    assert not run.is_guest
    assert run.wanted(nodes(LARGE)) == {"GPU": 2.0}
