"""Topics: counts are shared out whole, and with or without numba alike."""

from typing import Any

import numpy as np
import pytest

from clary.algorithms.lda.fit import halves
from clary.algorithms.lda.predict import as_counts
from clary.toolkit.kernels import topics


@pytest.fixture
def case() -> Any:
    draw = np.random.default_rng(0)
    counts = as_counts(draw.poisson(0.8, (9, 14)))
    mixtures = draw.random((9, 3)).astype(np.float32)
    return counts, mixtures, draw.random((14, 3)).astype(np.float32)


def test_with_and_without_numba_counts_are_shared_out_alike(
    monkeypatch: pytest.MonkeyPatch, case: Any
) -> None:
    counts, mixtures, weights = case
    prior = np.full(3, 0.1, np.float32)
    fast, slow = mixtures.copy(), mixtures.copy()
    found = topics.share(counts, fast, weights, prior)
    mixed = topics.mix(counts, weights.astype(np.float64), prior.astype(np.float64), 20)
    monkeypatch.setattr(topics, "compiled", lambda: None)
    monkeypatch.setattr(topics, "BLOCK_VALUES", 10)
    np.testing.assert_allclose(topics.share(counts, slow, weights, prior), found, rtol=1e-4)
    np.testing.assert_allclose(slow, fast, rtol=1e-4)
    again = topics.mix(counts, weights.astype(np.float64), prior.astype(np.float64), 20)
    np.testing.assert_allclose(again, mixed, rtol=1e-6)


def test_no_count_is_lost(case: Any) -> None:
    counts, mixtures, weights = case
    found = topics.share(counts, mixtures, weights, np.full(3, 0.1, np.float32))
    np.testing.assert_allclose(found.sum(axis=1), np.asarray(counts.sum(axis=0)).ravel(), rtol=1e-5)
    np.testing.assert_allclose(mixtures.sum(axis=1), np.asarray(counts.sum(axis=1)).ravel(), rtol=1e-5)


def test_a_document_without_words_has_the_priors_mixture(case: Any) -> None:
    prior = np.array([0.2, 0.3, 0.5])
    mixed = topics.mix(as_counts(np.zeros((1, 14))), case[2].astype(np.float64), prior, 5)
    np.testing.assert_allclose(mixed[0], prior)


def test_halves_of_documents_are_equal_within_a_word(case: Any) -> None:
    counts = case[0]
    first, second = halves(counts)
    np.testing.assert_array_equal((first + second).toarray(), counts.toarray())
    assert abs(first.sum() - second.sum()) <= 1
    thirds = counts.copy()
    thirds.data = thirds.data / np.float32(3)
    first, second = halves(thirds)
    np.testing.assert_allclose(first.toarray(), second.toarray())
