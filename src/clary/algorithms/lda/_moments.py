"""Topics from the moments of documents: whiten the second, decompose the third.

    counts ─▶ M2, never formed ─▶ W ─▶ T = M3(W, W, W), k x k x k ─▶ orthogonal Z ─▶ topics, priors

Source: Anandkumar, Ge, Hsu, Kakade and Telgarsky (2014), "Tensor decompositions for learning latent variable
models", section 4; orthogonalized alternating least squares as Sharan and Valiant (2017), arXiv:1703.01804.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clary.algorithms._log import say

SPARE, PASSES = 10, 2
"""Of the randomized eigensolver. Source: Halko, Martinsson and Tropp (2011), doi:10.1137/090771806."""
SMALLEST = 1e-6
"""Eigenvalues below this share of the largest are none."""
SAME = 1e-5
"""Fits that differ by less of themselves are one."""


@dataclass(frozen=True)
class Moments:
    """Cross moments of documents of three words and more, each document counted once."""

    counts: Any
    """CSR, float64, shape (n_documents, n_words)."""
    turned: Any
    """Its transpose, CSR."""
    pairs: Any
    """Of each document: one over its ordered pairs of words, and over the documents."""
    triples: Any
    mean: Any
    """Shares of words, shape (n_words,)."""
    alpha0: float

    @classmethod
    def of(cls, counts: Any, alpha0: float) -> Moments | None:
        """Return the moments; None where no document has three words."""
        sizes = np.asarray(counts.sum(axis=1)).ravel()
        chosen = counts[np.flatnonzero(sizes >= 3)].astype(np.float64)
        n_documents = chosen.shape[0]
        if not n_documents:
            return None
        sizes = sizes[sizes >= 3].astype(np.float64)
        pairs = 1 / (sizes * (sizes - 1) * n_documents)
        turned = chosen.T.tocsr()
        return cls(chosen, turned, pairs, pairs / (sizes - 2), turned @ (1 / sizes) / n_documents, alpha0)

    def second(self, vectors: Any) -> Any:
        """Return M2 times some vectors, shape (n_words, n_vectors)."""
        found = self.turned @ (self.pairs[:, None] * (self.counts @ vectors))
        found -= (self.turned @ self.pairs)[:, None] * vectors
        return found - self.alpha0 / (self.alpha0 + 1) * np.outer(self.mean, self.mean @ vectors)

    def whitening(self, n_most: int, draw: np.random.Generator) -> tuple[Any, Any]:
        """Return W and what undoes it, each of shape (n_words, k), with k at most `n_most`."""
        n_words = len(self.mean)
        basis = draw.normal(size=(n_words, min(n_words, n_most + SPARE)))
        for _ in range(1 + PASSES):
            basis = np.linalg.qr(self.second(basis))[0]
        inner = basis.T @ self.second(basis)
        values, vectors = np.linalg.eigh((inner + inner.T) / 2)
        order = np.argsort(-values)[:n_most]
        order = order[values[order] > SMALLEST * max(values.max(), 1e-300)]
        vectors, roots = basis @ vectors[:, order], np.sqrt(values[order])
        return vectors / roots, vectors * roots

    def third(self, whitener: Any) -> Any:
        """Return M3 in the whitened space, shape (k, k, k)."""
        alpha0 = self.alpha0
        rows = self.counts @ whitener
        weighted = self.triples[:, None] * rows
        mean = whitener.T @ self.mean
        tensor = _outer(weighted, rows) - _symmetric(_outer(self.turned @ weighted, whitener))
        tensor += 2 * _outer((self.turned @ self.triples)[:, None] * whitener, whitener)
        crossed = rows.T @ (self.pairs[:, None] * rows)
        crossed -= whitener.T @ ((self.turned @ self.pairs)[:, None] * whitener)
        tensor -= alpha0 / (alpha0 + 2) * _symmetric(mean[:, None, None] * crossed)
        scale = 2 * alpha0**2 / ((alpha0 + 1) * (alpha0 + 2))
        return tensor + scale * mean[:, None, None] * np.outer(mean, mean)


def _outer(first: Any, other: Any) -> Any:
    """Return the sum over rows of first x other x other."""
    k = other.shape[1]
    total = np.zeros((k, k * k))
    step = max(1, (1 << 22) // (k * k))
    for start in range(0, len(other), step):
        part = other[start : start + step]
        total += first[start : start + step].T @ (part[:, :, None] * part[:, None, :]).reshape(len(part), -1)
    return total.reshape(k, k, k)


def _symmetric(tensor: Any) -> Any:
    """Return the sum over the three places that the first index can take; the others are alike."""
    return tensor + tensor.transpose(1, 0, 2) + tensor.transpose(1, 2, 0)


def decomposed(
    tensor: Any, draw: np.random.Generator, *, n_starts: int, n_most: int, tolerance: float
) -> tuple[Any, Any]:
    """Return orthogonal vectors, as columns, and their weights: the best of several starts.

    A start that finds the best fit again ends the search.
    """
    k = len(tensor)
    flat, best = tensor.reshape(k * k, k), (-np.inf, np.eye(k), np.ones(k))
    for start in range(n_starts):
        vectors, before, n_turns = np.linalg.qr(draw.normal(size=(k, k)))[0], 0.0, 0
        while True:
            image = np.einsum("abk,bk->ak", (flat @ vectors).reshape(k, k, k), vectors)
            weights = (image * vectors).sum(axis=0)
            fit = float((weights**2).sum())
            n_turns += 1
            if n_turns >= n_most or abs(fit - before) <= tolerance * fit:
                break
            before = fit
            left, _, right = np.linalg.svd(image, full_matrices=False)
            vectors = left @ right
        say(f"alternating least squares, start {start}: fit {fit:.6g} after {n_turns} iterations")
        is_found_again = abs(fit - best[0]) <= SAME * fit
        if fit > best[0]:
            best = (fit, vectors, weights)
        if is_found_again:
            break
    return best[1], best[2]


def topics(
    counts: Any, n_topics: int, alpha0: float, draw: np.random.Generator, **limits: Any
) -> tuple[Any, Any]:
    """Return words' shares of topics, shape (n_words, k), and the topics' priors; k may be less."""
    moments = Moments.of(counts, alpha0)
    if moments is None:
        return np.zeros((counts.shape[1], 0)), np.zeros(0)
    whitener, undone = moments.whitening(n_topics, draw)
    if not whitener.shape[1]:
        return np.zeros((counts.shape[1], 0)), np.zeros(0)
    vectors, weights = decomposed(moments.third(whitener), draw, **limits)
    vectors, weights = vectors * np.sign(weights), np.maximum(np.abs(weights), 1e-12)
    shares = np.maximum(undone @ vectors * weights, 0)
    return shares / np.maximum(shares.sum(axis=0), 1e-300), 1 / weights**2
