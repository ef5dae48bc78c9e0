"""Search and reduction on a GPU: exactly by matrix products there, or through a faiss that computes on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._log import say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu

QUERY_ROWS, VECTOR_ROWS = 1024, 1 << 17
"""A block of scores: 512 MiB."""
NUMBERS = 1 << 25
"""In double precision, of vectors that are measured exactly or of rows that are reduced: 256 MiB."""
FAISS_K = 2048
"""Neighbours that faiss finds on a GPU, at most. Source: its wiki, "Faiss on the GPU"."""


class FlatIndex:
    """All vectors, which stay on the device, searched exactly; see `_index.FlatIndex`."""

    def __init__(self, gpu: Gpu, vectors: NDArray[np.float32], *, is_product: bool, spare: int) -> None:
        self._gpu = gpu
        self._is_product = is_product
        self._spare = spare
        self._vectors = gpu.put(vectors)
        blocks = self._vectors.split(VECTOR_ROWS)
        self._norms = gpu.torch.cat([(block * block).sum(dim=1) for block in blocks])
        self._norms *= 0.0 if is_product else 0.5

    def search(self, rows: Any, k: int) -> tuple[Any, Any]:
        """Return squared distances, or inner products, and places."""
        distances = np.empty((len(rows), k), np.float32)
        places = np.empty((len(rows), k), np.int64)
        for start in range(0, len(rows), QUERY_ROWS):
            part = slice(start, start + QUERY_ROWS)
            distances[part], places[part] = map(self._gpu.take, self.nearest(self._gpu.put(rows[part]), k))
        return distances, places

    def nearest(self, rows: Any, k: int) -> tuple[Any, Any]:
        """Return tensors of distances and places, both of shape (n_rows, k), nearest first."""
        near = self._near(rows, min(k + self._spare, len(self._vectors)))
        step = max(1, NUMBERS // near.shape[1] // rows.shape[1])
        parts = [self._exactly(*each, k) for each in zip(rows.split(step), near.split(step), strict=True)]
        distances, places = map(self._gpu.torch.cat, zip(*parts, strict=True))
        return distances, places

    def _near(self, rows: Any, n_wanted: int) -> Any:
        """Return places of the nearest by rounded scores, shape (n_rows, n_wanted), in no order."""
        torch = self._gpu.torch
        scores, places = rows[:, :0], rows[:, :0].long()
        for start in range(0, len(self._vectors), VECTOR_ROWS):
            part = slice(start, start + VECTOR_ROWS)
            found = torch.addmm(self._norms[part], rows, self._vectors[part].T, alpha=-1)
            found, at = found.topk(min(n_wanted, found.shape[1]), largest=False, sorted=False)
            scores, places = torch.cat((scores, found), dim=1), torch.cat((places, at + start), dim=1)
            scores, at = scores.topk(min(n_wanted, scores.shape[1]), largest=False, sorted=False)
            places = places.gather(1, at)
        return places

    def _exactly(self, rows: Any, near: Any, k: int) -> tuple[Any, Any]:
        near = near.sort(dim=1).values  # of vectors as near as each other, the first comes first
        vectors, rows = self._vectors[near].double(), rows[:, None, :].double()
        measured = vectors.mul_(rows) if self._is_product else vectors.sub_(rows).square_()
        distances, order = measured.sum(dim=2).sort(dim=1, descending=self._is_product, stable=True)
        return distances[:, :k].float(), near.gather(1, order[:, :k])


def product(gpu: Gpu, rows: NDArray[np.float32], matrix: Any) -> NDArray[np.float32]:
    """Return `rows @ matrix`, computed in double precision; the matrix, float64, is on the device."""
    out = np.empty((len(rows), matrix.shape[1]), np.float32)
    step = max(1, NUMBERS // sum(matrix.shape))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        out[part] = gpu.take((gpu.put(rows[part]).double() @ matrix).float())
    return out


def lent(faiss: Any, index: Any) -> Any:
    """Return an index of faiss on its first GPU; the index itself if this faiss or this kind has no GPU's."""
    if not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
        return index
    try:
        return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    except RuntimeError as error:
        say(f"faiss computes on the processor: {error}", "WARNING")
        return index


def returned(faiss: Any, index: Any, lender: Any) -> Any:
    """Return what was lent, as an index of the processor, which can be saved."""
    return index if index is lender else faiss.index_gpu_to_cpu(index)
