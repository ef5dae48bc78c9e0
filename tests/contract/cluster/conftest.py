"""Three nodes, and a Clary whose runs go there."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.testing import cluster as clusters
from clary.testing.cluster import Cluster
from clary.testing.server import Account, ClaryServer

LEASE_S = 5


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Yield three nodes."""
    folder = Path(tempfile.mkdtemp(prefix="cray", dir="/tmp"))
    folder.chmod(0o711)
    with clusters.running(folder, cpus=4, memory_mib=8_192) as made:
        yield made


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[ClaryServer]:
    """Yield a Clary whose runs go to the nodes."""
    folder = Path(tempfile.mkdtemp(prefix="cray", dir="/tmp"))
    engine = {"containers": "podman"} if any(each.has_engine for each in cluster.nodes.values()) else {}
    given = {"host": "0.0.0.0", "cluster_lease_s": str(LEASE_S), **engine}
    try:
        with clusters.served(folder / "d", cluster, **given) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def account(server: ClaryServer) -> Account:
    """Return an account of it."""
    return server.account()
