"""Searches for the nearest of many vectors: exactly by matrix products, or through faiss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from clary.algorithms import _gpu
from clary.algorithms.knn import _device
from clary.algorithms.knn.definition import FLAT, IVF_PQ
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.toolkit.hyperparameters import Params

QUERY_ROWS, VECTOR_ROWS = 64, 8192
"""A block of scores: 2 MiB."""
SPARE = 8
"""Vectors beyond k whose exact distance is taken, as the block's are rounded."""
PROBES = 16
"""Cells that a query searches, at most; the service's number is not documented."""


class Index(Protocol):
    """Vectors that can be searched."""

    def search(self, rows: Any, k: int) -> tuple[Any, Any]:
        """Return distances and places of the nearest, both of shape (n_rows, k), nearest first."""
        ...


class FlatIndex:
    """All vectors, searched exactly."""

    def __init__(self, vectors: NDArray[np.float32], *, is_product: bool) -> None:
        self._vectors = vectors
        self._is_product = is_product
        self._norms = np.einsum("ij,ij->i", vectors, vectors) * np.float32(0 if is_product else 0.5)

    def search(self, rows: Any, k: int) -> tuple[Any, Any]:
        """Return squared distances, or inner products, and places."""
        distances = np.empty((len(rows), k), np.float32)
        places = np.empty((len(rows), k), np.int64)
        for start in range(0, len(rows), QUERY_ROWS):
            part = slice(start, start + QUERY_ROWS)
            near = self._near(rows[part], min(k + SPARE, len(self._vectors)))
            distances[part], places[part] = self._exactly(rows[part], near, k)
        return distances, places

    def _near(self, rows: Any, n_wanted: int) -> Any:
        """Return places of the nearest by rounded scores, shape (n_rows, n_wanted), in no order."""
        n_rows = len(rows)
        scores = np.zeros((n_rows, 0), np.float32)
        places = np.zeros((n_rows, 0), np.int64)
        worst = np.full(n_rows, np.inf, np.float32)
        for start in range(0, len(self._vectors), VECTOR_ROWS):
            block = self._vectors[start : start + VECTOR_ROWS]
            found = rows @ block.T
            np.subtract(self._norms[start : start + len(block)], found, out=found)
            if places.shape[1] < n_wanted:
                scores = np.concatenate((scores, found), axis=1)
                more = np.broadcast_to(np.arange(start, start + len(block)), found.shape)
                places = np.concatenate((places, more), axis=1)
                if places.shape[1] > n_wanted:
                    best = np.argpartition(scores, n_wanted - 1, axis=1)[:, :n_wanted]
                    scores = np.take_along_axis(scores, best, axis=1)
                    places = np.take_along_axis(places, best, axis=1)
                worst = scores.max(axis=1)
                continue
            row, column = np.nonzero(found < worst[:, None])
            if len(row):
                scores, places = _merged(scores, places, row, column + start, found[row, column])
                worst = scores.max(axis=1)
        return places

    def _exactly(self, rows: Any, near: Any, k: int) -> tuple[Any, Any]:
        vectors = self._vectors[near].astype(np.float64)
        if self._is_product:
            distances = np.einsum("ijk,ik->ij", vectors, rows.astype(np.float64))
            order = np.lexsort((near, -distances), axis=1)[:, :k]
        else:
            vectors -= rows[:, None, :]
            distances = np.einsum("ijk,ijk->ij", vectors, vectors)
            order = np.lexsort((near, distances), axis=1)[:, :k]
        return np.take_along_axis(distances, order, axis=1), np.take_along_axis(near, order, axis=1)


def _merged(scores: Any, places: Any, row: Any, place: Any, score: Any) -> tuple[Any, Any]:
    """Return the best of those there were and those found, for each row."""
    n_rows, n_wanted = scores.shape
    rows = np.concatenate((np.repeat(np.arange(n_rows), n_wanted), row))
    all_scores = np.concatenate((scores.ravel(), score))
    all_places = np.concatenate((places.ravel(), place))
    order = np.lexsort((all_scores, rows))
    counts = np.bincount(rows, minlength=n_rows)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    kept = order[starts[:, None] + np.arange(n_wanted)]
    return all_scores[kept], all_places[kept]


class FaissIndex:
    """An index of faiss, and where there is a GPU that faiss computes on, the same there."""

    def __init__(self, index: Any, lent: Any) -> None:
        self._index = index
        self._lent = lent

    def search(self, rows: Any, k: int) -> tuple[Any, Any]:
        """Return what faiss finds; its own order and distances."""
        index = self._lent if k <= _device.FAISS_K else self._index
        distances, places = index.search(np.ascontiguousarray(rows, np.float32), k)
        return distances, places


def faiss() -> Any:
    """Return the module.

    Raises
    ------
    CustomerError
        It is not installed.
    """
    try:
        import faiss as module  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CustomerError(
            "Hyperparameter index_type: faiss.IVFFlat and faiss.IVFPQ need the package faiss-cpu: "
            "pip install 'clary[knn]'; faiss.Flat needs it not"
        ) from error
    return module


def build(vectors: NDArray[np.float32], params: Params) -> Any:
    """Build the index of faiss that hyperparameters ask for; it is written by `faiss.serialize_index`."""
    module = faiss()
    is_product = params.text("index_metric") != "L2"
    lists = params["faiss_index_ivf_nlists"]
    n_lists = max(1, int(params.int("sample_size") ** 0.5)) if lists == "auto" else int(lists)
    n_lists = min(n_lists, len(vectors))
    kind = "Flat" if params.text("index_type") != IVF_PQ else f"PQ{params.int('faiss_index_pq_m')}"
    if kind != "Flat" and len(vectors) < 256:
        raise CustomerError(
            f"Channel train has {len(vectors)} rows after sampling; index_type {IVF_PQ} needs 256 at least"
        )
    metric = module.METRIC_INNER_PRODUCT if is_product else module.METRIC_L2
    index = module.index_factory(vectors.shape[1], f"IVF{n_lists},{kind}", metric)
    lent = _device.lent(module, index)
    lent.cp.min_points_per_centroid = 1
    lent.train(vectors)
    lent.add(vectors)
    return _device.returned(module, lent, index)


def restore(kind: str, content: Any, metric: str) -> Index:
    """Return an index from its file's content: an array of vectors, or faiss' own bytes."""
    if kind == FLAT:
        return _flat(np.ascontiguousarray(content, np.float32), is_product=metric != "L2")
    module = faiss()
    index = module.deserialize_index(np.frombuffer(content, np.uint8))
    index.nprobe = min(PROBES, index.nlist)
    return FaissIndex(index, _device.lent(module, index))


def _flat(vectors: NDArray[np.float32], *, is_product: bool) -> Index:
    """Return an exact index, on the device if there is one that has room for the vectors."""
    gpu = _gpu.find()
    if gpu is None or vectors.nbytes > gpu.room():
        return FlatIndex(vectors, is_product=is_product)
    return _device.FlatIndex(gpu, vectors, is_product=is_product, spare=SPARE)
