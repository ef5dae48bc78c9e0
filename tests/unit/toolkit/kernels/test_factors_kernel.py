"""Factorization machines: slopes are those of the loss, and with or without numba steps are the same."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from clary.toolkit.kernels import factors

N_ROWS, N_COLUMNS, WIDTH = 12, 7, 4


@pytest.fixture
def case() -> Any:
    draw = np.random.default_rng(0)
    rows = sparse.random(N_ROWS, N_COLUMNS, 0.4, "csr", np.float32, random_state=1)
    rows.indptr = rows.indptr.astype(np.int64)
    weights = draw.normal(size=(N_COLUMNS, WIDTH)).astype(np.float32)
    return rows, (draw.random(N_ROWS) < 0.5).astype(np.float32), weights


@pytest.mark.parametrize("is_binary", [False, True])
def test_slopes_are_those_of_the_loss(case: Any, is_binary: bool) -> None:
    rows, labels, weights = case
    chosen = np.array([0, 3, 5, 9, 10])

    def loss(own: Any) -> float:
        scores = factors.scored(rows[chosen].astype(np.float64), own, 0.25)
        truth = labels[chosen]
        if is_binary:
            return float((np.logaddexp(0, scores) - truth * scores).sum())
        return float(((scores - truth) ** 2).sum() / 2)

    found = factors.Slopes(N_COLUMNS).of(rows, labels, chosen, weights, 0.25, is_binary=is_binary)
    touched, slope, bias_slope, scores = found
    assert sorted(touched.tolist()) == sorted(set(rows[chosen].indices.tolist()))
    for place, column in enumerate(touched):
        for k in range(WIDTH):
            moved = weights.astype(np.float64)
            moved[column, k] += 1e-5
            other = weights.astype(np.float64)
            other[column, k] -= 1e-5
            assert slope[place, k] == pytest.approx((loss(moved) - loss(other)) / 2e-5, abs=1e-3)
    assert bias_slope == pytest.approx((scores - labels[chosen]).sum(), abs=1e-5)


def test_with_and_without_numba_a_step_is_the_same(monkeypatch: pytest.MonkeyPatch, case: Any) -> None:
    rows, labels, weights = case
    chosen = np.arange(N_ROWS)
    found = []
    for has_numba in (True, False):
        if not has_numba:
            monkeypatch.setattr(factors, "compiled", lambda: None)
        own, means = weights.copy(), np.zeros(2)
        slopes = factors.Slopes(N_COLUMNS)
        for n_steps in (1, 2, 3):
            touched, slope, _, scores = slopes.of(rows, labels, chosen, own, 0.25, is_binary=True)
            factors.step(
                touched, slope, own, means, np.array([0.1, 0.02]), np.array([0.01, 0.001]),
                scale=1 / N_ROWS, most=0.05, epsilon=1e-8, n_steps=n_steps,
            )  # fmt: skip
        found.append((own, means, scores))
    for fast, slow in zip(*found, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-6)


def test_columns_that_do_not_occur_stay(case: Any) -> None:
    rows, labels, weights = case
    own, chosen = weights.copy(), np.array([0])
    touched, slope, *_ = factors.Slopes(N_COLUMNS).of(rows, labels, chosen, own, 0.0, is_binary=False)
    rates, decays = np.array([0.1, 0.1]), np.array([0.5, 0.5])
    factors.step(
        touched, slope, own, np.zeros(2), rates, decays, scale=1.0, most=np.inf, epsilon=1e-8, n_steps=1
    )
    moved = np.flatnonzero((own != weights).any(axis=1))
    assert moved.tolist() == sorted(touched.tolist())
