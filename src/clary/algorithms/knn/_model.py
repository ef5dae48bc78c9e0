"""A k-NN model: how rows become vectors, where their neighbours are, and what those say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact
from clary.algorithms.knn import _index, _reduction
from clary.algorithms.knn.definition import FLAT
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from pathlib import Path

    from clary.algorithms.knn._index import Index
    from clary.toolkit.formats.base import Matrix


@dataclass(frozen=True)
class Vectors:
    """How rows become vectors."""

    n_columns: int
    reduction: dict[str, Any] | None
    """`type`, `seed`, `target_dim`, `input_dim`; None without."""
    normalize: bool
    """Whether vectors get length 1, as COSINE wants."""
    width: int
    """Columns of a vector, padded with zeros."""

    def matrix(self) -> Any:
        """Return the projection, placed; None without."""
        if self.reduction is None:
            return None
        return _reduction.placed(
            _reduction.projection(
                self.reduction["type"], self.n_columns, self.reduction["target_dim"], self.reduction["seed"]
            )
        )

    def of(self, rows: Matrix, matrix: Any) -> Any:
        """Return float32 vectors of rows."""
        dense = rows if isinstance(rows, np.ndarray) else rows.toarray()
        if matrix is not None:
            dense = _reduction.reduced(dense, matrix)
        if self.normalize:
            lengths = np.sqrt(np.einsum("ij,ij->i", dense, dense, dtype=np.float64))
            dense = (dense / np.maximum(lengths, 1e-30)[:, None]).astype(np.float32)
        if dense.shape[1] < self.width:
            dense = np.pad(dense, ((0, 0), (0, self.width - dense.shape[1])))
        return np.ascontiguousarray(dense)


class Neighbours:
    """A loaded model."""

    def __init__(self, vectors: Vectors, index: Index, labels: Any, k: int, predictor_type: str) -> None:
        self.vectors = vectors
        self.k = min(k, len(labels))
        self._index = index
        self._labels = labels
        self._matrix = vectors.matrix()
        self._is_classifier = predictor_type == "classifier"
        self._classes, self._class_of = np.unique(labels, return_inverse=True)

    def ask(self, rows: Matrix) -> tuple[Any, Any, Any]:
        """Return predictions, shape (n_rows,), and the neighbours' distances and labels, (n_rows, k)."""
        distances, places = self._index.search(self.vectors.of(rows, self._matrix), self.k)
        places = np.where(places < 0, places[:, :1], places)  # faiss found fewer than k
        labels = self._labels[places]
        if not self._is_classifier:
            return labels.mean(axis=1, dtype=np.float64).astype(np.float32), distances, labels
        return self._classes[self._votes(places).argmax(axis=1)], distances, labels

    def _votes(self, places: Any) -> Any:
        """Return votes for every class; among equals the nearer weigh more, by less than a vote in all."""
        n_rows, k = places.shape
        n_classes = len(self._classes)
        edge = np.arange(k, 0, -1) / (k * (k + 1.0))
        flat = self._class_of[places] + n_classes * np.arange(n_rows)[:, None]
        weights = np.broadcast_to(1 + edge, places.shape).ravel()
        return np.bincount(flat.ravel(), weights, n_rows * n_classes).reshape(n_rows, n_classes)


def save(folder: Path, metadata: dict[str, Any], content: Any, labels: Any) -> None:
    """Write the three files of the service: index, labels, metadata."""
    path = folder / _artifact.MODEL_FILE
    if metadata["index_type"] == FLAT:
        _artifact.save(path, {"vectors": content})
    else:
        path.write_bytes(bytes(content))
    path.with_name(f"{path.name}.labels").write_bytes(labels.astype("<f4").tobytes())
    path.with_name(f"{path.name}.json").write_text(json.dumps(metadata, indent=2) + "\n")


def load(folder: Path) -> Neighbours:
    """Load the three files; the metadata may have been edited.

    Raises
    ------
    CustomerError
        One is missing, or is not what it should be.
    """
    path = _artifact.find(folder)
    try:
        metadata = json.loads(path.with_name(f"{path.name}.json").read_text())
        labels = np.frombuffer(path.with_name(f"{path.name}.labels").read_bytes(), "<f4")
        vectors = Vectors(
            int(metadata["feature_dim"]),
            metadata["dimension_reduction"],
            bool(metadata["normalize"]),
            int(metadata["width"]),
        )
        kind, metric = str(metadata["index_type"]), str(metadata["index_metric"])
        k, predictor_type = int(metadata["k"]), str(metadata["predictor_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CustomerError(f"Unable to load model: {path.name}.json or .labels: {error!r}") from error
    if k < 1 or predictor_type not in {"classifier", "regressor"}:
        raise CustomerError(
            f"Unable to load model: {path.name}.json has k {k} and type {predictor_type!r}; k must be "
            "at least 1, predictor_type classifier or regressor"
        )
    content = _artifact.load(path, ("vectors",))["vectors"] if kind == FLAT else path.read_bytes()
    return Neighbours(vectors, _index.restore(kind, content, metric), labels, k, predictor_type)
