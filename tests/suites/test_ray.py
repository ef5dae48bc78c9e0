"""Placement `ray` passes the suite of placements, on two nodes of unequal size."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.compute.base import RunSpec
from clary.kernel.settings import Settings
from clary.testing import cluster as clusters
from clary.testing import placement_suite
from clary.testing.placement_suite import PlacementSuite

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(300),
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


class TestRayPlacement(PlacementSuite):
    """A single run takes the large node: of a gang one host fits, on the small one, and two do not."""

    stem = "ray"
    shares = (0.9, 0.4)

    @pytest.fixture
    def settings(
        self, tmp_path: Path, cluster: clusters.Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> Settings:
        monkeypatch.setattr(placement_suite, "PATIENCE_S", 120.0)
        data = tmp_path / "data"
        data.mkdir()
        self.folder = cluster.folder
        return Settings(data_dir=data, cluster=str(cluster.file), cluster_lease_s=5.0)

    def runs(self, settings: Settings) -> list[Path]:
        mirrored = [each for each in (settings.data_dir / "cluster").glob("[!.]*") if each.is_dir()]
        return [*mirrored, *settings.runs_dir.iterdir(), *self.folder.glob(f"*/c/{name_of(settings)}/runs/*")]

    def home(self, settings: Settings, spec: RunSpec, host: str = "algo-1") -> Path:
        found = self.folder.glob(f"*/c/{name_of(settings)}/runs/{spec.run_id}/hosts/{host}")
        return next(each for each in found if (each / "lock").exists())


def name_of(settings: Settings) -> str:
    """Return the name under which the nodes know the Clary of these settings."""
    return (settings.data_dir / "cluster.name").read_text()
