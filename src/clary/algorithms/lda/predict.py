"""Prediction: every document's mixture of topics.

Source: developer guide, "Latent Dirichlet Allocation (LDA) Algorithm", input/output interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact
from clary.algorithms._answers import ColumnPredictor, Columns
from clary.algorithms.base import Refusal
from clary.kernel.errors import CustomerError
from clary.toolkit.kernels import topics as kernels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clary.algorithms._rows import Scores
    from clary.toolkit.formats.base import Matrix

N_TURNS = 50
SMALLEST = 1e-12
"""Share of a topic that every word has, so that no document is impossible."""


def load(model_dir: Path, environ: Mapping[str, str]) -> LDAPredictor:
    """Load the topics.

    Raises
    ------
    CustomerError
        There are none, or the file cannot be read.
    """
    model = _artifact.load(_artifact.find(model_dir), ("alpha", "beta"))
    if model["beta"].ndim != 2 or model["alpha"].shape != model["beta"].shape[:1] or not model["beta"].size:
        raise CustomerError("Unable to load model: alpha must have a member for each row of beta")
    return LDAPredictor(Topics(model["alpha"], model["beta"]), environ)


def as_counts(rows: Any) -> Any:
    """Return rows as the kernels want them."""
    from scipy import sparse  # noqa: PLC0415 - 40 ms that the server need not pay

    counts = sparse.csr_matrix(rows, dtype=np.float32)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    counts.indptr, counts.indices = counts.indptr.astype(np.int64), counts.indices.astype(np.int32)
    return counts


class Topics:
    """What LDA has learned."""

    def __init__(self, alpha: Any, beta: Any) -> None:
        """Take the prior, shape (n_topics,), and the topics, shape (n_topics, n_words)."""
        self.alpha = np.maximum(np.asarray(alpha, np.float64), SMALLEST)
        self.beta = np.ascontiguousarray(np.maximum(np.asarray(beta, np.float64).T, SMALLEST))
        """Shape (n_words, n_topics)."""

    def mixtures(self, counts: Any) -> Any:
        """Return the likeliest mixture of every document, shape (n_documents, n_topics)."""
        return kernels.mix(counts, self.beta, self.alpha, N_TURNS)


class LDAPredictor(ColumnPredictor):
    """Loaded topics that answer requests."""

    def __init__(self, topics: Topics, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.topics = topics

    @property
    def n_features(self) -> int:
        """Words of the vocabulary."""
        return len(self.topics.beta)

    def score(self, rows: Matrix) -> Scores:
        """Return mixtures, shape (n_rows, n_topics), float32; Refusal 400 where a count is below 0."""
        counts = as_counts(rows)
        if counts.data.size and counts.data.min() < 0:
            raise Refusal(400, "unable to evaluate payload provided: a count of a word is below 0")
        return np.asarray(self.topics.mixtures(counts), np.float32)

    def columns(self, scores: Scores, *, is_verbose: bool) -> Columns:
        """Return `topic_mixture`."""
        return {"topic_mixture": scores}
