"""Placement `ray` passes the suite of placements, on two nodes of unequal size."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clary.compute import linux
from clary.compute.base import Placement, RunPhase, RunSpec
from clary.compute.placements.ray import RayPlacement
from clary.kernel.settings import Settings
from clary.testing import cluster as clusters
from clary.testing import placement_suite
from clary.testing.placement_suite import AGENT, PlacementSuite, spec_of, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.skipif(bool(clusters.missing()), reason=clusters.missing() or "there are clusters"),
]
LARGE_MIB, SMALL_MIB = 2000, 1000


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    """Yield a cluster of a large node and a small one."""
    folder = Path(tempfile.mkdtemp(prefix="cray", dir="/tmp"))
    folder.chmod(0o711)
    made = clusters.Cluster(folder)
    try:
        made.add("n1", cpus=8, memory_mib=LARGE_MIB)
        made.add("n2", cpus=8, memory_mib=SMALL_MIB)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def undertaker(cluster: clusters.Cluster) -> Iterator[RayPlacement]:
    """Yield another Clary on the cluster, which ends what the tests' have there: half a GiB a node each."""
    data = cluster.folder / "undertaker"
    data.mkdir()
    made = RayPlacement(Settings(data_dir=data, cluster=str(cluster.file)), uses_zygote=False)
    yield made
    made.close()


class TestRayPlacement(PlacementSuite):
    """A single run takes the large node: of a gang one host fits, on the small one, and two do not."""

    stem = "ray"
    shares = (0.9, 0.4)

    @pytest.fixture
    def settings(
        self,
        tmp_path: Path,
        cluster: clusters.Cluster,
        undertaker: RayPlacement,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[Settings]:
        monkeypatch.setattr(placement_suite, "PATIENCE_S", 120.0)
        data = tmp_path / "data"
        data.mkdir()
        self.folder = cluster.folder
        made = Settings(data_dir=data, cluster=str(cluster.file), cluster_lease_s=5.0)
        yield made
        undertaker.forsake(name_of(made).removeprefix("clary-"))

    def runs(self, settings: Settings) -> list[Path]:
        mirrored = [each for each in (settings.data_dir / "cluster").glob("[!.]*") if each.is_dir()]
        return [*mirrored, *settings.runs_dir.iterdir(), *self.folder.glob(f"*/c/{name_of(settings)}/runs/*")]

    def home(self, settings: Settings, spec: RunSpec, host: str = "algo-1") -> Path:
        found = self.folder.glob(f"*/c/{name_of(settings)}/runs/{spec.run_id}/hosts/{host}")
        return next(each for each in found if (each / "lock").exists())

    def test_what_a_lost_control_plane_had_is_ended_by_another(
        self, settings: Settings, placements: Callable[..., Placement], tmp_path: Path
    ) -> None:
        lost = Settings(data_dir=tmp_path / "lost", cluster=settings.cluster, cluster_lease_s=5.0)
        lost.data_dir.mkdir()
        (lost.data_dir / "node").write_text("a-node\n")
        spec = spec_of("sh", "-c", "echo on; exec sleep 600")
        first = RayPlacement(lost, agent=AGENT, uses_zygote=False)
        try:
            first.launch(spec)
            self.wait_for(first, spec, RunPhase.TRAINING)
            home = self.home(lost, spec)
            until(lambda: linux.stamped(home / "pid"), "its agent lives")
        finally:
            first.close()
        placements().forsake("a-node")
        until(lambda: not linux.stamped(home / "pid"), "its agent has ended")
        after = RayPlacement(lost, agent=AGENT, uses_zygote=False)
        until(lambda: after.poll(spec.run_id).phase is RunPhase.LOST, "the run is lost")
        after.discard(spec.run_id)
        after.close()


def name_of(settings: Settings) -> str:
    """Return the name under which the nodes know the Clary of these settings."""
    return (settings.data_dir / "cluster.name").read_text()
