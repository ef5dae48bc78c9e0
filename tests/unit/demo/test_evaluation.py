"""The demo's arithmetic: counts, costs, thresholds."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "demo"))

from evaluation import Costs, area_under_curve, cheapest_threshold, cost_curve, judge

COSTS = Costs(missed_fraud=50, false_alarm=5)
LABELS = np.array([0, 0, 1, 1])
SCORES = np.array([0.1, 0.4, 0.35, 0.8])

samples = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=30)


def test_counts_are_those_of_the_confusion_matrix() -> None:
    outcome = judge(LABELS, SCORES, 0.5, COSTS)
    assert (outcome.true_positives, outcome.false_positives) == (1, 0)
    assert (outcome.false_negatives, outcome.true_negatives) == (1, 2)
    assert outcome.cost == 50
    assert outcome.accuracy == 0.75
    assert outcome.precision == 1.0
    assert outcome.recall == 0.5
    assert outcome.false_alarm_rate == 0.0


def test_a_score_at_the_threshold_is_an_alarm() -> None:
    assert judge(LABELS, SCORES, 0.8, COSTS).true_positives == 1


def test_no_alarm_at_all_has_precision_zero_not_an_error() -> None:
    assert judge(LABELS, SCORES, 2.0, COSTS).precision == 0.0


def test_an_expensive_miss_lowers_the_threshold() -> None:
    assert cheapest_threshold(LABELS, SCORES, COSTS) == pytest.approx((0.1 + 0.35) / 2)


def test_an_expensive_alarm_raises_the_threshold() -> None:
    assert cheapest_threshold(LABELS, SCORES, Costs(missed_fraud=5, false_alarm=50)) > 0.4


@settings(deadline=None)  # scikit-learn warms up in the first example
@example(rows=[(0, 1.0), (0, 1.0)])
@example(rows=[(0, 0.5), (1, 0.5000000000000001)])
@given(rows=samples)
def test_no_threshold_is_cheaper_than_the_cheapest(rows: list[tuple[int, float]]) -> None:
    labels = np.array([label for label, _ in rows])
    scores = np.array([score for _, score in rows])
    least = judge(labels, scores, cheapest_threshold(labels, scores, COSTS), COSTS).cost
    assert all(least <= judge(labels, scores, each, COSTS).cost for each in (0.0, *scores, 1.1))


def test_the_curve_is_per_thousand_rows() -> None:
    thresholds, cost = cost_curve(LABELS, SCORES, COSTS)
    assert cost[np.searchsorted(thresholds, 0.5)] == pytest.approx(50 * 1000 / 4)


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    assert area_under_curve(LABELS, SCORES) == 0.75
