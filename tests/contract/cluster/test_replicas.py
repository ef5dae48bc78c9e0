"""Endpoints' replicas on the nodes of a Ray cluster: who answers, and what a node's death does to clients."""

import time
from collections.abc import Iterator

import pytest

from clary.testing import cluster as clusters
from clary.testing.cluster import Cluster, until
from clary.testing.hosting import Crowd, Hosting, saying
from clary.testing.server import Account

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(clusters.missing()), reason=clusters.missing() or "there are clusters"),
]
MOVED_S = 2.0
"""Within which traffic moves."""


@pytest.fixture
def hosting(account: Account) -> Iterator[Hosting]:
    """Yield an account's endpoints; they are deleted at the end."""
    made = Hosting.of(account)
    yield made
    made.close()


def on_nodes(hosting: Hosting, script: str, n: int) -> str:
    """Return an endpoint of so many instances, in service."""
    config = hosting.config(hosting.variant(hosting.model(script), InitialInstanceCount=n))
    name = f"ep-{config}"
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    hosting.endpoints.append(name)
    assert hosting.settled(name, limit_s=240.0)["EndpointStatus"] == "InService", hosting.describe(name)
    return name


def test_replicas_are_spread_and_answer(hosting: Hosting, cluster: Cluster) -> None:
    until(lambda: all(map(cluster.is_kept, cluster.nodes)), "a node that was killed is back")
    name = on_nodes(hosting, saying("here"), 3)
    assert hosting.shares(name, 30) == {"here": 30}
    assert sorted(cluster.where(name)) == ["n1", "n2", "n3"]
    hosting.sagemaker.delete_endpoint(EndpointName=name)
    until(lambda: not cluster.where(name), "the replicas have ended")


@pytest.mark.parametrize("is_cut", [False, True])
def test_traffic_moves_when_a_node_is_gone_and_another_takes_its_place(
    account: Account, hosting: Hosting, cluster: Cluster, is_cut: bool
) -> None:
    name = on_nodes(hosting, saying("slow", 0.1), 2)
    node = next(each for each in cluster.where(name) if each != "n1")
    with Crowd(account.client, name) as crowd:
        until(lambda: len(crowd.heard) > 40, "clients are answered")
        gone = time.monotonic()
        if is_cut:
            cluster.cut(node)
        else:
            cluster.kill(node)
        until(lambda: len({*cluster.where(name)} - {node}) == 2, "another node has a replica")
        until(lambda: time.monotonic() > gone + 20, "the clients went on for a while")
    if is_cut:
        cluster.cut(node, is_cut=False)
        cluster.kill(node)
    cluster.start(node)
    waits = sorted((answered - asked, found) for asked, answered, found in crowd.heard if answered >= gone)
    assert {found for _, found in waits} <= {"slow", "503"}
    late = [found for asked, answered, found in crowd.heard if asked > gone + MOVED_S]
    assert set(late) == {"slow"}
    assert waits[-1][0] < MOVED_S + 1.0


def test_an_endpoint_answers_again_when_the_head_is_back(
    account: Account, hosting: Hosting, cluster: Cluster
) -> None:
    name = on_nodes(hosting, saying("back"), 2)
    for node in cluster.nodes:
        cluster.kill(node)
    for node in cluster.nodes:
        cluster.start(node)
    until(lambda: len(cluster.where(name)) == 2, "two replicas")
    with Crowd(account.client, name) as crowd:
        until(lambda: sum(found == "back" for *_, found in crowd.heard) > 20, "clients are answered")
    assert {found for *_, found in crowd.heard} <= {"back", "503"}
