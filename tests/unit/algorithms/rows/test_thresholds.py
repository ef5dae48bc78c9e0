"""Thresholds of a binary classifier against trying every one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.algorithms import base
from clary.algorithms.linear_learner import _metrics, _thresholds

CRITERIA = ("accuracy", "f_beta", "precision_at_target_recall", "recall_at_target_precision")


def params(criterion: str, **more: str) -> Any:
    asked = {"feature_dim": "1", "predictor_type": "binary_classifier", **more}
    return base.find("linear_learner").validate(
        {**asked, "binary_classifier_model_selection_criteria": criterion}
    )


def reached(scores: Any, labels: Any, threshold: float, criterion: str) -> float:
    """Return what a threshold reaches, counted one by one; minus infinity where it misses the target."""
    chosen, truth = scores >= threshold, labels == 1
    true, taken, positive = (chosen & truth).sum(), chosen.sum(), truth.sum()
    precision, recall = true / max(taken, 1), true / max(positive, 1)
    if criterion == "accuracy":
        return float((chosen == truth).mean())
    if criterion == "f_beta":
        return float(2 * true / max(taken + positive, 1e-12))
    if criterion == "precision_at_target_recall":
        return float(precision) if recall >= 0.8 else -np.inf
    return float(recall) if precision >= 0.8 and taken else -np.inf


@pytest.mark.parametrize("criterion", CRITERIA)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from([0.1, 0.2, 0.4, 0.5, 0.7, 0.9]), st.integers(0, 1)), min_size=1, max_size=20
    )
)
def test_no_threshold_is_better_than_the_one_chosen(criterion: str, rows: Any) -> None:
    scores = np.array([score for score, _ in rows], np.float32)
    labels = np.array([label for _, label in rows], np.float32)
    threshold, value = _thresholds.choose(scores, labels, params(criterion), 0.5)
    every = [reached(scores, labels, cut, criterion) for cut in (-1, 0.15, 0.3, 0.45, 0.6, 0.8, 2)]
    assert value == pytest.approx(max(every))
    if np.isfinite(value):
        assert reached(scores, labels, threshold, criterion) == pytest.approx(value)


@given(rows=st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.4]), st.integers(0, 1)), min_size=1, max_size=20))
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(rows: Any) -> None:
    scores = np.array([score for score, _ in rows])
    truth = np.array([label == 1 for _, label in rows])
    pairs = [np.sign(a - b) / 2 + 0.5 for a in scores[truth] for b in scores[~truth]]
    assert _metrics.auc(scores, truth) == pytest.approx(np.mean(pairs) if pairs else 0.5)
