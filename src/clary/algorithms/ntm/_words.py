"""Vectors of words, from the documents that they share, and what they say of topics.

    words x words, in how many documents together ─▶ how much more than by chance ─▶ singular vectors

Source
------
Bullinaria and Levy (2007), doi:10.3758/BF03193020; Ding, Nallapati and Xiang (2018), "Coherence-aware neural
topic modeling", arXiv:1809.02687.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from clary.algorithms._hosts import Hosts

N_COLUMNS = 100
"""Numbers in a word's vector, at most."""
MOST_WORDS = 4096
"""Words, the most frequent, whose pairs are counted; others get the mean of their documents."""
TOP = 10
"""Words that stand for a topic in the log."""


def vectors(documents: Any, counts: NDArray[np.float64], hosts: Hosts) -> NDArray[np.float32]:
    """Return vectors of words.

    Parameters
    ----------
    documents : CSR matrix, shape (n_documents, n_words)
        A sample of this host's.
    counts : ndarray, shape (n_words,)
        Uses of each word in all hosts' documents.

    Returns
    -------
    ndarray, shape (n_words, n_columns)
        Float32, of unit variance.
    """
    n_words = documents.shape[1]
    frequent = np.sort(np.argsort(-counts, kind="stable")[:MOST_WORDS])
    uses = documents.copy()
    uses.data = np.ones_like(uses.data, np.float32)
    common = uses[:, frequent]
    together = hosts.sum(np.asarray((common.T @ common).toarray(), np.float32))
    n_documents = float(hosts.sum(np.array([documents.shape[0]], np.float64))[0])
    found = _singular(_ppmi(together, n_documents), min(N_COLUMNS, len(frequent)))
    if n_words > len(frequent):
        of_documents = common @ found
        sums = hosts.sum(np.asarray(uses.T @ of_documents, np.float32))
        seen = np.maximum(hosts.sum(np.asarray(uses.sum(axis=0), np.float32).ravel()), 1)
        whole = sums / seen[:, None]
        whole *= (np.linalg.norm(found) / np.sqrt(len(found))) / max(
            float(np.linalg.norm(whole) / np.sqrt(n_words)), 1e-9
        )
        whole[frequent] = found
        found = whole
    return np.asarray(found / max(float(found.std()), 1e-9), np.float32)


def _ppmi(together: NDArray[np.float32], n_documents: float) -> NDArray[np.float32]:
    """Return how much more often than by chance words meet; never less than 0."""
    alone = np.maximum(np.diag(together), 1e-9)
    chance = np.outer(alone, alone / np.float32(max(n_documents, 1)))
    ratio = np.divide(together, chance, out=np.ones_like(together), where=chance > 1e-12)
    found = np.log(np.maximum(ratio, 1))
    np.fill_diagonal(found, 0)
    return np.asarray(found)


def _singular(matrix: NDArray[np.float32], n_columns: int) -> NDArray[np.float32]:
    """Return the first singular vectors of a symmetric matrix, each as long as its value's root."""
    draw = np.random.default_rng(17)
    width = min(n_columns + 10, len(matrix))
    basis = matrix @ draw.standard_normal((len(matrix), width), np.float32)
    for _ in range(2):
        basis, _ = np.linalg.qr(basis)
        basis = matrix @ (matrix @ basis)
    basis, _ = np.linalg.qr(basis)
    rotation, values, _ = np.linalg.svd(basis.T @ (matrix @ basis))
    return np.asarray((basis @ rotation)[:, :n_columns] * np.sqrt(values[:n_columns]))


def top_words(topics: NDArray[Any]) -> NDArray[np.intp]:
    """Return the words of each topic that are likeliest, shape (n_topics, 10 or all)."""
    return np.argsort(-topics, axis=1, kind="stable")[:, :TOP]


def coherence(tops: NDArray[np.intp], words: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean cosine of each topic's pairs of top words: WETC."""
    units = words / np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-9)
    found = []
    for top in tops:
        cosines = units[top] @ units[top].T
        n_pairs = len(top) * (len(top) - 1)
        found.append(float((cosines.sum() - np.trace(cosines)) / max(n_pairs, 1)))
    return np.array(found)


def uniqueness(tops: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean, over a topic's top words, of one by the number of topics that have it: TU."""
    n_topics = np.bincount(tops.reshape(-1))
    return np.asarray((1.0 / n_topics[tops]).mean(axis=1))


def spelled(tops: NDArray[np.intp], vocabulary: Sequence[str] | None) -> list[str]:
    """Return each topic's top words, or their numbers where there is no vocabulary."""
    return [" ".join(vocabulary[word] if vocabulary else str(word) for word in top) for top in tops.tolist()]
