from pathlib import Path

from clary.compute.cluster.names import offer_gpus, offered_gpus
from clary.kernel.settings import Settings


def test_what_a_cluster_has_is_unknown_until_it_has_told(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, cluster="ray://a:10001")
    assert offered_gpus(settings) is None
    offer_gpus(settings, 0)
    assert offered_gpus(settings) == 0


def test_the_most_gpus_that_a_node_has_had_are_kept_and_are_that_clusters_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, cluster="ray://a:10001")
    for most in (1, 4, 0):
        offer_gpus(settings, most)
    assert offered_gpus(settings) == 4
    assert offered_gpus(Settings(data_dir=tmp_path, cluster="ray://b:10001")) is None
