from pathlib import Path

import pytest

from clary.compute import machine
from clary.compute.cluster.names import offer_gpus
from clary.kernel.errors import ResourceLimitExceeded
from clary.kernel.settings import Settings
from clary.services.sagemaker import _instances

EIGHT = "ml.p4d.24xlarge"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return those of a machine without GPUs whose runs go to a cluster."""
    monkeypatch.setenv("CLARY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CLARY_CLUSTER", "ray://a:10001")
    monkeypatch.setattr(machine, "gpus", lambda: 0)
    return Settings.load()


def test_jobs_may_ask_for_what_the_clusters_largest_node_has_had(settings: Settings) -> None:
    _instances.check(EIGHT, "training job")  # it has not told yet: the placement finds out
    offer_gpus(settings, 4)
    with pytest.raises(ResourceLimitExceeded, match="8 GPUs, and the largest node of the cluster has 4"):
        _instances.check(EIGHT, "training job")
    offer_gpus(settings, 8)
    _instances.check(EIGHT, "training job")


def test_notebooks_stay_on_the_control_planes_machine(settings: Settings) -> None:
    offer_gpus(settings, 8)
    with pytest.raises(ResourceLimitExceeded, match="8 GPUs, and this machine has 0"):
        _instances.check(EIGHT, _instances.HERE)
