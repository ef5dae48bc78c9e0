"""K-means, PCA and k-NN on a device: what NumPy's lines find, and no tensor that is left on the host."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import sparse

from clary.algorithms import _gpu, base
from clary.algorithms._feed import Feed
from clary.algorithms._hosts import Hosts
from clary.algorithms.base import Source, Training
from clary.algorithms.kmeans import _device as kmeans
from clary.algorithms.kmeans import _lloyd
from clary.algorithms.pca import _device as pca
from clary.algorithms.pca import _moments
from clary.algorithms.pca import fit as pca_fit
from clary.algorithms.pca._moments import Moments
from clary.testing.several_hosts import HOSTS, together
from clary.toolkit.formats import recordio_protobuf

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError  # noqa: E402 - where torch is

pytestmark = pytest.mark.torch

HERE = _gpu.Gpu(torch, torch.device("cpu"))
"""torch's processor stands in for the device."""
QUALITY = re.compile(r"#quality_metric: [^>]*>=([-+.e\d]+)")


@pytest.fixture
def rows() -> Any:
    draw = np.random.default_rng(2)
    return (draw.normal(size=(700, 6)) + 4 * draw.normal(size=(5, 6))[draw.integers(0, 5, 700)]).astype("f4")


@pytest.fixture
def weights() -> Any:
    return np.random.default_rng(3).uniform(0.5, 2, 700).astype(np.float32)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_sums_of_blocks_of_any_size_are_those_of_numpy(
    rows: Any, weights: Any, is_weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kmeans, "SCORES", 600)  # 100 rows of a block
    own = weights if is_weighted else None
    centres = np.concatenate((rows[:5], np.full((1, 6), 1e3, np.float32)))
    wanted, found = _lloyd.Sums(centres), kmeans.Sums(HERE, centres)
    wanted.add(rows, own)
    found.add(rows, None if own is None else HERE.put(own))
    for there, here in zip(found.taken(), wanted.taken(), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-3)
        assert there.dtype == np.float64
    means = HERE.take(found.means())
    np.testing.assert_allclose(means, wanted.means(), rtol=1e-5)
    np.testing.assert_array_equal(means[5], centres[5])  # no row is near


@pytest.mark.parametrize("method", ["random", "kmeans++"])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_device_chooses_the_seeds_that_numpy_chooses(
    rows: Any, weights: Any, method: str, is_weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = weights if is_weighted else None
    draws = [np.random.default_rng(7) for _ in range(3)]
    wanted = _lloyd.seed(rows, 12, draws[0], own, method=method)
    monkeypatch.setattr(_gpu, "find", lambda: HERE)
    np.testing.assert_array_equal(_lloyd.seed(rows, 12, draws[1], own, method=method), wanted)
    np.testing.assert_array_equal(_lloyd.seed(HERE.put(rows), 12, draws[2], own, method=method), wanted)
    assert len({each.random() for each in draws}) == 1  # whoever draws next draws the same


def test_seeds_of_rows_that_are_all_the_same_are_that_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gpu, "find", lambda: HERE)
    found = _lloyd.seed(np.ones((40, 3), np.float32), 4, np.random.default_rng(1))
    np.testing.assert_array_equal(found, np.ones((4, 3)))


def test_lloyd_ends_on_a_device_where_numpy_ends(
    rows: Any, weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, loss = _lloyd.lloyd(rows, rows[:8], weights)
    monkeypatch.setattr(_gpu, "find", lambda: HERE)
    found, there = _lloyd.lloyd(HERE.put(rows), rows[:8], weights)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert there == pytest.approx(loss, rel=1e-5)


def test_a_stream_goes_on_from_a_state_on_either(rows: Any) -> None:
    wanted, found = _lloyd.Stream(rows[:6], 300), kmeans.Stream(HERE, rows[:6], 300)
    for start in range(0, 350, 50):
        batch = rows[start : start + 50]
        assert float(found.add(batch)) == pytest.approx(wanted.add(batch), rel=1e-5)
    centres, weight = found.state()
    later = _lloyd.Stream(rows[:6], 300)
    later.restore(centres.copy(), weight.copy())
    found.restore(*wanted.state())
    for start in range(350, 700, 50):
        batch = rows[start : start + 50]
        assert [float(found.add(batch)), later.add(batch)] == pytest.approx([wanted.add(batch)] * 2, rel=1e-5)
    for state in (found.state(), later.state()):
        np.testing.assert_allclose(state[0], wanted.state()[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(state[1], wanted.state()[1])


def test_no_tensor_of_k_means_is_left_on_the_host(nowhere: _gpu.Gpu, rows: Any, weights: Any) -> None:
    placed, own = nowhere.put(rows), nowhere.put(weights)
    for each in (None, own):
        sums = kmeans.Sums(nowhere, rows[:5])
        sums.add(placed, each, kmeans.squares(placed))
        sums.add(rows)
        assert sums.means().device == nowhere.device
        seeds = kmeans.apart(nowhere, placed, each, 3, np.zeros((4, 3)))
        assert (seeds.device, tuple(seeds.shape)) == (nowhere.device, (5, 6))
    stream = kmeans.Stream(nowhere, rows[:5], 100)
    assert stream.add(rows).device == nowhere.device
    with pytest.raises(FakeTensorDeviceMismatchError):
        sums.add(placed, torch.ones(len(rows)))


ALONE = Hosts(0, (), 1)


@pytest.mark.parametrize("n_directions", [0, 3])
def test_moments_on_a_device_are_those_of_numpy(
    rows: Any, n_directions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_moments, "BLOCK_ROWS", 64)
    about = rows[:100].mean(axis=0)
    directions = np.random.default_rng(5).normal(size=(6, 3)).astype(np.float32) if n_directions else None
    wanted, found = Moments(about, directions), Moments(about, directions, HERE)
    for start in (0, 300):
        wanted.add(rows[start : start + 300])
        found.add(HERE.put(rows[start : start + 300]))
    for each in (wanted, found):
        each.merge(ALONE)
    for is_centred in (True, False):
        np.testing.assert_allclose(
            found.product(centred=is_centred), wanted.product(centred=is_centred), rtol=1e-5, atol=1e-2
        )
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-6)
    assert found.n_rows == 600
    assert found.total.dtype == found.scatter.dtype == np.float64


def test_no_tensor_of_pca_is_left_on_the_host(nowhere: _gpu.Gpu, rows: Any) -> None:
    for directions in (None, rows[:3].T.copy()):
        moments = Moments(rows[0], directions, nowhere)
        moments.add(nowhere.put(rows))
        assert {part.device for part in moments._sums} == {nowhere.device}
        with pytest.raises(FakeTensorDeviceMismatchError):
            moments.add(torch.ones(rows.shape))
    assert pca.squares(nowhere.put(rows)).device == nowhere.device


def test_a_scatter_without_room_on_the_device_is_summed_on_the_processor(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cuda = _gpu.Gpu(torch, torch.device("cuda", 0))  # it is not there: what is put on it fails
    monkeypatch.setattr(_gpu, "find", lambda: cuda)
    given = {"feature_dim": "6", "mini_batch_size": "9", "num_components": "2"}
    params = base.find("pca").validate(given)
    for free, wanted in ((480, cuda), (479, None)):  # nine tenths of which are 12 x 6 x 6 bytes, or less
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 1 << 30))
        assert pca_fit.device(params) is wanted
    assert pca_fit.device(base.find("pca").validate({**given, "algorithm_mode": "randomized"})) is cuda
    assert "mode regular with feature_dim 6 takes 0.0 GiB" in capfd.readouterr().out
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_bytes(recordio_protobuf.write(rows, None))
    sources = {name: Source(name=name, path=tmp_path / name) for name in ("train", "test")}
    model = tmp_path / "model"
    base.find("pca").fit(
        Training(params=params, sources=sources, model_dir=model, output_data_dir=tmp_path, n_threads=1)
    )
    assert len(np.load(model / "model_algo-1")["s"]) == 2


@pytest.mark.parametrize(("room", "n_travels"), [(1 << 20, 1), (100, 3)])
def test_rows_that_fit_stay_on_the_device_for_later_passes(
    rows: Any, room: int, n_travels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_gpu, "STAND_IN_BYTES", room)
    travels: list[Any] = []

    def put(_: Any, values: Any) -> Any:
        travels.append(values)
        return torch.tensor(values)

    monkeypatch.setattr(_gpu.Gpu, "put", put)
    (tmp_path / "part").write_text("".join(",".join(map(str, row)) + "\n" for row in rows[:50]))
    source = Source(name="train", path=tmp_path, content_type="text/csv;label_size=0")
    feed = Feed(source, feature_dim=6, has_labels=False)
    held = pca.Rows(HERE, feed, 3)
    for _ in range(3):
        [block] = held.blocks()
        np.testing.assert_allclose(HERE.take(block), rows[:50], rtol=1e-6)
    assert len(travels) == n_travels
    assert feed.is_kept is (n_travels > 1)  # what the device has is not held twice


CASES: dict[str, dict[str, Any]] = {
    "kmeans": {"k": 5, "epochs": 4, "init_method": "kmeans++"},
    "kmeans-batches": {"k": 3, "extra_center_factor": 4, "half_life_time_size": 300, "epochs": 3},
    "pca": {"num_components": 3, "mini_batch_size": 100},
    "pca-randomized": {"num_components": 2, "mini_batch_size": 9, "algorithm_mode": "randomized"},
    "pca-about-zero": {"num_components": 2, "mini_batch_size": 9, "subtract_mean": "false"},
    "knn": {
        "k": 3,
        "sample_size": 500,
        "predictor_type": "regressor",
        "dimension_reduction_type": "fjlt",
        "dimension_reduction_target": 4,
    },
}


def learned(case: str, folder: Path, features: Any, hosts: tuple[str, ...]) -> Any:
    """Train on shards of rows, one for each host; return the arrays of the first host's model."""
    algorithm, n_rows = base.find(case.partition("-")[0]), features.shape[0]
    given = {"feature_dim": features.shape[1], "mini_batch_size": 100} | CASES[case]
    labels = np.arange(n_rows, dtype=np.float32)
    trainings = []
    for rank, host in enumerate(hosts):
        shard = slice(rank * 300, n_rows if rank == len(hosts) - 1 else 300)
        content = recordio_protobuf.write(features[shard], labels[shard])
        (folder / host / "train").mkdir(parents=True)
        (folder / host / "train" / "part").write_bytes(content)
        sources = {
            name: Source(name=name, path=folder / host / "train", distribution="ShardedByS3Key")
            for name in ("train", "test")
        }
        trainings.append(
            Training(
                params=algorithm.validate({name: str(value) for name, value in given.items()}),
                sources=sources,
                model_dir=folder / host / "model",
                output_data_dir=folder / host / "output",
                hosts=hosts,
                host=host,
                name=f"{case}-{folder.parent.name}-{folder.name}",
                n_threads=1,
            )
        )
    assert together([partial(algorithm.fit, each) for each in trainings]) == [None] * len(hosts)
    return np.load(trainings[0].model_dir / "model_algo-1")


@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("hosts", [HOSTS[:1], HOSTS], ids=["one host", "two hosts"])
@pytest.mark.parametrize("case", CASES)
def test_hosts_with_devices_learn_what_those_without_learn(
    case: str,
    hosts: tuple[str, ...],
    is_sparse: bool,
    rows: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    features = sparse.csr_matrix(np.where(rows > 1, rows, 0)) if is_sparse else rows
    found, said = [], []
    for name, place in (("here", None), ("there", HERE)):
        monkeypatch.setattr(_gpu, "find", lambda place=place: place)
        found.append(learned(case, tmp_path / name, features, hosts))
        values = QUALITY.findall(capfd.readouterr().out)  # hosts are threads: lines may run on
        said.append(sorted(map(float, values)))
    assert found[0].files == found[1].files
    for name in found[0].files:
        np.testing.assert_allclose(found[1][name], found[0][name], rtol=1e-4, atol=1e-4)
    assert said[0]
    assert said[1] == pytest.approx(said[0], rel=1e-4)
