"""k-NN on a device: the neighbours that NumPy finds, and no tensor that is left on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clary.algorithms import _gpu
from clary.algorithms.knn import _device, _index, _reduction
from clary.algorithms.knn.definition import FLAT

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError  # noqa: E402 - where torch is

pytestmark = pytest.mark.torch

HERE = _gpu.Gpu(torch, torch.device("cpu"))
"""torch's processor stands in for the device."""


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> _gpu.Gpu:
    monkeypatch.setattr(_gpu, "find", lambda: HERE)
    return HERE


@pytest.fixture
def vectors() -> Any:
    """Yield vectors of which many are as far from a query as others, and some are there twice."""
    draw = np.random.default_rng(1)
    found = np.concatenate((draw.integers(-3, 4, (300, 5)), draw.normal(size=(300, 5)))).astype(np.float32)
    return np.concatenate((found, found[250:350]))


@pytest.fixture
def queries() -> Any:
    draw = np.random.default_rng(2)
    return np.concatenate((draw.integers(-3, 4, (40, 5)), draw.normal(size=(40, 5)))).astype(np.float32)


def nearest(vectors: Any, queries: Any, k: int, *, is_product: bool) -> tuple[Any, Any]:
    """Return distances and places by the definition, of equals the first first."""
    wide, rows = vectors.astype(np.float64), queries.astype(np.float64)
    if is_product:
        distances = np.einsum("ij,kj->ik", rows, wide)
    else:
        distances = ((rows[:, None] - wide) ** 2).sum(axis=2)
    order = np.argsort(-distances if is_product else distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), order


@pytest.mark.parametrize("is_product", [False, True])
@pytest.mark.parametrize("k", [1, 7, 700])
@pytest.mark.parametrize("sizes", [(1024, 1 << 17, 1 << 25), (30, 64, 9000)], ids=["one block", "many"])
def test_neighbours_are_the_nearest_of_all_in_their_order(
    vectors: Any,
    queries: Any,
    k: int,
    is_product: bool,
    sizes: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, size in zip(("QUERY_ROWS", "VECTOR_ROWS", "NUMBERS"), sizes, strict=True):
        monkeypatch.setattr(_device, name, size)
    index = _device.FlatIndex(HERE, vectors, is_product=is_product, spare=80)
    distances, places = index.search(queries, k)
    wanted = nearest(vectors, queries, k, is_product=is_product)
    np.testing.assert_allclose(distances, wanted[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(places, wanted[1])
    assert (distances.dtype, places.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("metric", ["L2", "INNER_PRODUCT"])
def test_an_exact_index_is_searched_where_its_vectors_have_room(
    vectors: Any, queries: Any, metric: str, device: _gpu.Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    normal = vectors[300:600]
    there = _index.restore(FLAT, normal, metric)
    assert isinstance(there, _device.FlatIndex)
    monkeypatch.setattr(_gpu, "STAND_IN_BYTES", normal.nbytes - 1)
    here = _index.restore(FLAT, normal, metric)
    assert isinstance(here, _index.FlatIndex)
    for one, other in zip(there.search(queries, 9), here.search(queries, 9), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["sign", "fjlt"])
def test_rows_are_reduced_to_the_vectors_of_the_processor(
    kind: str, queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_device, "NUMBERS", 80)  # ten rows at once
    matrix = _reduction.projection(kind, 5, 3, 1)
    wanted = _reduction.reduced(queries, matrix)
    monkeypatch.setattr(_gpu, "find", lambda: HERE)
    found = _reduction.reduced(queries, _reduction.placed(matrix))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)
    assert found.dtype == wanted.dtype == np.float32
    assert _reduction.reduced(queries[:0], _reduction.placed(matrix)).shape == (0, 3)


def test_no_tensor_of_k_nn_is_left_on_the_host(nowhere: _gpu.Gpu, vectors: Any, queries: Any) -> None:
    for is_product in (False, True):
        index = _device.FlatIndex(nowhere, vectors, is_product=is_product, spare=8)
        found = index.nearest(nowhere.put(queries), 4)
        assert [(part.device, tuple(part.shape)) for part in found] == [(nowhere.device, (80, 4))] * 2
        with pytest.raises(FakeTensorDeviceMismatchError):
            index.nearest(torch.ones(queries.shape), 4)


class _Faiss:
    """A faiss with a GPU, as far as an index goes there and back; indexes are lists of what was done."""

    METRIC_L2, METRIC_INNER_PRODUCT = 1, 0
    StandardGpuResources = object

    def __init__(self, n_gpus: int, refused: str = "") -> None:
        self._n_gpus, self._refused = n_gpus, refused

    def get_num_gpus(self) -> int:
        return self._n_gpus

    def index_factory(self, n_columns: int, kind: str, metric: int) -> _FaissIndex:
        return _FaissIndex("processor", [f"{kind} of {n_columns}"])

    def index_cpu_to_gpu(self, resources: object, number: int, index: _FaissIndex) -> _FaissIndex:
        if self._refused:
            raise RuntimeError(self._refused)
        return _FaissIndex(f"device {number}", list(index.done))

    def index_gpu_to_cpu(self, index: _FaissIndex) -> _FaissIndex:
        return _FaissIndex("processor", list(index.done))

    def deserialize_index(self, content: Any) -> _FaissIndex:
        return _FaissIndex("processor", [])


class _FaissIndex:
    nlist, nprobe = 40, 1

    def __init__(self, place: str, done: list[str]) -> None:
        self.place, self.done, self.cp = place, done, self
        self.min_points_per_centroid = 0

    def train(self, vectors: Any) -> None:
        self.done.append(f"trained on {self.place}")

    def add(self, vectors: Any) -> None:
        self.done.append(f"filled on {self.place}")

    def search(self, rows: Any, k: int) -> tuple[Any, Any]:
        return np.zeros((len(rows), k)), np.full((len(rows), k), self.place == "device 0")


@pytest.mark.parametrize(
    ("faiss", "place"),
    [(_Faiss(1), "device 0"), (_Faiss(0), "processor"), (_Faiss(1, "not on a GPU"), "processor")],
)
def test_faiss_trains_and_fills_on_its_gpu_and_saves_from_the_processor(
    faiss: Any, place: str, vectors: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from clary.algorithms import base  # noqa: PLC0415

    monkeypatch.setattr(_index, "faiss", lambda: faiss)
    given = {"feature_dim": 5, "k": 3, "predictor_type": "regressor", "sample_size": 700}
    params = base.find("knn").validate(
        {**{key: str(value) for key, value in given.items()}, "index_type": "faiss.IVFFlat"}
    )
    built = _index.build(vectors, params)
    assert built.place == "processor"
    assert built.done == ["IVF26,Flat of 5", f"trained on {place}", f"filled on {place}"]
    index = _index.restore("faiss.IVFFlat", b"", "L2")
    assert index.search(vectors[:2], 3)[1].all() == (place == "device 0")
    assert not index.search(vectors[:2], 2049)[1].any()  # more than faiss finds there
    assert ("not on a GPU" in capfd.readouterr().out) is bool(faiss._refused)
