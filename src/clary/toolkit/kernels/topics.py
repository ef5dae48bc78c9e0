"""Documents as mixtures of topics: every word's count is shared out among topics, in turns.

    counts    (n_documents, n_words)   CSR, float32, int64 starts, int32 columns
    mixtures  (n_documents, n_topics)  counts of a document's words that are each topic's
    topics    (n_words, n_topics)      a word's share of each topic

Source: Asuncion and others (2009), "On smoothing and inference for topic models", which finds
this as good as sampling where the priors are right.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

BLOCK_VALUES = 1 << 18
"""Counts whose shares are held at once, without numba."""


@cache
def compiled() -> ModuleType | None:
    """Return the compiled half; None without numba."""
    try:
        from clary.toolkit.kernels import _topics  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return _topics


def share(counts: Any, mixtures: NDArray[Any], weights: NDArray[Any], prior: NDArray[Any]) -> NDArray[Any]:
    """Share out all counts once.

    Parameters
    ----------
    mixtures : ndarray, shape (n_documents, n_topics)
        Float32; replaced by the new ones.
    weights : ndarray, shape (n_words, n_topics)
        Float32, above 0: each word's weight in each topic.
    prior : ndarray, shape (n_topics,)
        Float32; added to the mixtures.

    Returns
    -------
    ndarray, shape (n_words, n_topics)
        Counts of words that are each topic's, float32.
    """
    found = np.zeros_like(weights)
    kernel = compiled()
    if kernel is not None:
        kernel.share(counts.indptr, counts.indices, counts.data, mixtures, weights, prior, found)
        return found
    for rows, part in _blocks(counts):
        shares = _shares(part, mixtures[rows] + prior, weights)
        by_document, by_word = _sums(part)
        mixtures[rows] = by_document @ shares
        found += by_word @ shares
    return found


def mix(counts: Any, topics: NDArray[Any], prior: NDArray[Any], n_turns: int) -> NDArray[np.float64]:
    """Return the likeliest mixture of every document, shape (n_documents, n_topics); rows sum to 1.

    Parameters
    ----------
    topics : ndarray, shape (n_words, n_topics)
        Float64, above 0.
    prior : ndarray, shape (n_topics,)
        Float64, above 0; a document without words gets its shares.
    """
    mixtures = np.empty((counts.shape[0], len(prior)))
    kernel = compiled()
    if kernel is not None:
        kernel.mix(counts.indptr, counts.indices, counts.data, topics, prior, mixtures, n_turns)
        return mixtures
    for rows, part in _blocks(counts):
        by_document, _ = _sums(part)
        own = prior * (1 + np.asarray(part.sum(axis=1)))
        for _ in range(n_turns):
            own = prior + by_document @ _shares(part, own, topics)
        mixtures[rows] = own / own.sum(axis=1, keepdims=True)
    return mixtures


def _blocks(counts: Any) -> Any:
    """Yield which rows, and the rows, of a few counts at a time."""
    start = 0
    while start < counts.shape[0]:
        limit = counts.indptr[start] + BLOCK_VALUES
        end = max(start + 1, int(np.searchsorted(counts.indptr, limit, side="right")) - 1)
        yield slice(start, end), counts[start:end]
        start = end


def _shares(part: Any, own: Any, weights: Any) -> Any:
    """Return the shares of every count, shape (n_values, n_topics)."""
    rows = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    shares = own[rows] * weights[part.indices]
    shares *= (part.data / shares.sum(axis=1))[:, None]
    return shares


def _sums(part: Any) -> tuple[Any, Any]:
    """Return matrices that add up shares by document, and by word."""
    from scipy import sparse  # noqa: PLC0415 - 40 ms that the server need not pay

    ones, places = np.ones(len(part.data), part.data.dtype), np.arange(len(part.data))
    by_document = sparse.csr_matrix((ones, places, part.indptr), shape=(part.shape[0], len(ones)))
    by_word = sparse.csr_matrix((ones, (part.indices, places)), shape=(part.shape[1], len(ones)))
    return by_document, by_word
