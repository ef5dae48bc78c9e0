"""Sparse rows on a device: their products with a dense matrix, and those of their transpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clary.algorithms._gpu import Gpu


@dataclass(frozen=True)
class SparseRows:
    """A CSR matrix as tensors, and the same by its columns; `rows @ dense`, `rows.T @ dense`.

    Notes
    -----
    Products are torch's bags of embeddings: a row is a bag of the dense matrix's rows, weighed. On a GPU they
    add up in one order, which products of torch's own sparse matrices and additions by place do not.
    """

    torch: Any
    own: tuple[Any, Any, Any]
    """Values, columns and where rows begin and end."""
    turned: tuple[Any, Any, Any]
    """Values, rows and where columns begin and end."""

    @property
    def T(self) -> SparseRows:  # noqa: N802 - as of matrices
        """The transpose."""
        return SparseRows(self.torch, self.turned, self.own)

    def squared(self) -> SparseRows:
        """Return the squares of all values."""
        own, turned = ((values * values, *where) for values, *where in (self.own, self.turned))
        return SparseRows(self.torch, own, turned)

    def __matmul__(self, dense: Any) -> Any:
        """Return the product with a dense matrix."""
        values, places, starts = self.own
        return self.torch.nn.functional.embedding_bag(
            places, dense, starts, mode="sum", per_sample_weights=values, include_last_offset=True
        )


def sparse_rows(gpu: Gpu, rows: Any) -> SparseRows:
    """Put a CSR matrix of fewer than 2**31 values on the device."""
    return SparseRows(gpu.torch, _parts(gpu, rows), _parts(gpu, rows.tocsc()))


def _parts(gpu: Gpu, rows: Any) -> tuple[Any, Any, Any]:
    places, starts = (gpu.put(np.asarray(each, np.int32)) for each in (rows.indices, rows.indptr))
    return gpu.put(np.asarray(rows.data, np.float32)), places, starts
