"""A forest of random cuts: grown on rows, asked about others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.kernel.errors import CustomerError
from clary.toolkit.kernels import cuts as kernels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ARRAYS = ("nodes", "cuts", "masses", "points")


@dataclass(frozen=True)
class Forest:
    """Trees as `toolkit/kernels/cuts.py` has them; their boxes are drawn when they are first needed."""

    nodes: NDArray[np.int32]
    cuts: NDArray[np.float32]
    masses: NDArray[np.int32]
    points: NDArray[np.float32]

    @classmethod
    def grow(cls, samples: NDArray[np.float32], draw: np.random.Generator) -> Forest:
        """Grow a tree on each sample.

        Parameters
        ----------
        samples : ndarray, shape (n_trees, n_rows, n_features)
            Float32, C order, finite; each sample is put in another order.
        """
        parts = [kernels.build(rows, draw.random((len(rows), 2))) for rows in samples]
        nodes, cuts, masses = (np.stack(each) for each in zip(*parts, strict=True))
        return cls(nodes, cuts, masses, samples)

    @classmethod
    def of(cls, model: Mapping[str, Any]) -> Forest:
        """Take the arrays of a model file.

        Raises
        ------
        CustomerError
            They are no trees: a row would be led out of them, or round in them.
        """
        points = model["points"]
        if points.ndim != 3 or not points.size:
            raise CustomerError("Unable to load model: points must have trees, rows and features")
        n_trees, n_rows, n_columns = points.shape
        wanted = {
            "nodes": (np.int32, (n_trees, n_rows - 1, 3)),
            "cuts": (np.float32, (n_trees, n_rows - 1)),
            "masses": (np.int32, (n_trees, 2 * n_rows - 1)),
            "points": (np.float32, points.shape),
        }
        for name, (dtype, shape) in wanted.items():
            if model[name].dtype != dtype or model[name].shape != shape:
                raise CustomerError(
                    f"Unable to load model: {name} must be {np.dtype(dtype)} of shape {shape}"
                )
        forest = cls(*(np.ascontiguousarray(model[name]) for name in ARRAYS))
        inner = forest.masses[:, : n_rows - 1] > 0
        children = forest.nodes[:, :, 1:][inner]
        places = np.broadcast_to(np.arange(n_rows - 1), inner.shape)[inner]
        columns = forest.nodes[:, :, 0][inner]
        is_below = (children > places[:, None]) & (children < 2 * n_rows - 1)
        trees = np.broadcast_to(np.arange(n_trees)[:, None], inner.shape)[inner]
        if (
            not is_below.all()
            or ((columns < 0) | (columns >= n_columns)).any()
            or (forest.masses[trees[:, None], children] < 1).any()
            or (forest.masses < 0).any()
        ):
            raise CustomerError(
                "Unable to load model: nodes must lie before their children, and cut a column"
            )
        return forest

    @property
    def arrays(self) -> dict[str, Any]:
        """What a model file holds."""
        return {name: getattr(self, name) for name in ARRAYS}

    @cached_property
    def trees(self) -> tuple[Any, ...]:
        """What the kernel asks for."""
        n_inner = self.nodes.shape[1]
        roots = (
            np.where(self.masses[:, 0] > 0, 0, n_inner) if n_inner else np.zeros(len(self.points), np.int64)
        )
        drawn = [kernels.enclose(*tree) for tree in zip(self.nodes, self.points, self.masses, strict=True)]
        boxes, spans = (np.stack(each) for each in zip(*drawn, strict=True))
        return roots, self.nodes, self.cuts, self.masses, self.points, boxes, spans

    def score(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean of all trees' scores, about 1 for a usual row and more for an anomaly.

        Parameters
        ----------
        rows : ndarray, shape (n_rows, n_features)
            Float32, C order, finite.
        """
        sums = np.zeros(len(rows))
        kernels.score(rows, self.trees, sums)
        return (sums / len(self.points)).astype(np.float32)
