"""The evaluation equals scikit-learn's, on random data: ties, one class, weights."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from clary.toolkit import evaluation
from clary.toolkit.evaluation._costs import Costs
from clary.toolkit.evaluation._counts import Sweep, counts_at

PRICES = st.sampled_from([0.0, 0.5, 1.0, 3.0, 40.0, 2500.0])


@st.composite
def judged(draw, *, both=False):
    """Draw labels, scores (few distinct ones make ties) and weights."""
    n = draw(st.integers(2, 20))
    labels = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    if both:
        labels[:2] = [False, True]
    steps = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
    any_score = st.floats(0, 1, width=32).map(float)
    scores = np.array(draw(st.lists(draw(st.sampled_from([steps, any_score])), min_size=n, max_size=n)))
    heavy = st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.25]), min_size=n, max_size=n)
    weights = np.array(draw(heavy)) if draw(st.booleans()) else np.ones(n)
    return labels, scores, weights


@settings(deadline=None, max_examples=60)
@given(judged(both=True))
def test_the_area_under_the_curve_is_scikit_learns(data):
    labels, scores, weights = data
    sweep = Sweep.of(labels, scores, weights)
    assert sweep.auc == pytest.approx(metrics.roc_auc_score(labels, scores, sample_weight=weights))
    assert sweep.average_precision == pytest.approx(
        metrics.average_precision_score(labels, scores, sample_weight=weights)
    )
    rates = metrics.roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    np.testing.assert_allclose(sweep.counts.false_positive_rate, rates[0], atol=1e-12)
    np.testing.assert_allclose(sweep.counts.recall, rates[1], atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(judged(), st.floats(-0.1, 1.1))
def test_the_confusion_matrix_and_its_figures_are_scikit_learns(data, threshold):
    labels, scores, weights = data
    called = scores >= threshold
    counts = counts_at(threshold, labels, scores, weights)
    expected = metrics.confusion_matrix(labels, called, labels=[False, True], sample_weight=weights)
    np.testing.assert_allclose([[counts.tn, counts.fp], [counts.fn, counts.tp]], expected)
    keywords = {"sample_weight": weights, "zero_division": 0, "labels": [True], "average": None}
    assert counts.precision == pytest.approx(metrics.precision_score(labels, called, **keywords)[0])
    assert counts.recall == pytest.approx(metrics.recall_score(labels, called, **keywords)[0])
    assert counts.accuracy == pytest.approx(metrics.accuracy_score(labels, called, sample_weight=weights))
    for beta in (0.5, 1, 2):
        assert counts.f(beta) == pytest.approx(metrics.fbeta_score(labels, called, beta=beta, **keywords)[0])


@settings(deadline=None, max_examples=60)
@given(judged(), PRICES, PRICES, PRICES, PRICES)
def test_no_threshold_costs_less_than_the_best(data, missed, alarm, hit, rejection):
    labels, scores, weights = data
    costs = Costs(missed=missed, alarm=alarm, hit=hit, rejection=rejection)
    sweep = Sweep.of(labels, scores, weights)
    best = float(sweep.thresholds[costs.best(sweep)])

    def cost(threshold):
        cells = metrics.confusion_matrix(
            labels, scores >= threshold, labels=[False, True], sample_weight=weights
        )
        return float((cells * np.array(costs.matrix)).sum())

    everywhere = np.unique([*scores, *np.nextafter(scores, np.inf), -1.0, 0.5, 2.0])
    lowest = min(cost(each) for each in everywhere)
    assert cost(best) == pytest.approx(lowest)
    assert float(costs.of(counts_at(best, labels, scores, weights))) == pytest.approx(lowest)
    assert np.all(np.diff(sweep.thresholds) <= 0)


@settings(deadline=None, max_examples=25)
@given(judged())
def test_every_evaluation_can_be_written(data):
    labels, scores, weights = data
    rows = pd.DataFrame({"label": labels.astype(int), "score": scores, "w": weights, "s": scores > 0.5})
    found = evaluation.evaluate(
        rows, kind="binary", weight="w", slices="s", costs={"missed": 5, "alarm": 1}, n_resamples=20
    )
    document = json.loads(json.dumps(found.document, allow_nan=False))
    quality = document["binary_classification_metrics"]
    assert ("auc" in quality) == (0 < labels.sum() < len(labels))
    assert found.metrics["saving"].value >= -1e-9


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_several_classes_are_judged_as_by_scikit_learn(data):
    n, k = data.draw(st.integers(3, 50)), data.draw(st.integers(2, 4))
    names = list("abcd"[:k])
    labels = data.draw(st.lists(st.sampled_from(names), min_size=n, max_size=n))
    called = data.draw(st.lists(st.sampled_from(names), min_size=n, max_size=n))
    labels[:2] = ["a", "b"]
    rows = pd.DataFrame({"label": labels, "score": called})
    found = evaluation.evaluate(rows, kind="multiclass", n_resamples=10)
    keywords = {"average": "weighted", "zero_division": 0}
    assert found.metrics["accuracy"].value == pytest.approx(metrics.accuracy_score(labels, called))
    assert found.metrics["weighted_precision"].value == pytest.approx(
        metrics.precision_score(labels, called, **keywords)
    )
    assert found.metrics["weighted_f1"].value == pytest.approx(metrics.f1_score(labels, called, **keywords))
    seen = sorted({*labels, *called})
    cells = found.quality["confusion_matrix"]
    expected = metrics.confusion_matrix(labels, called, labels=seen)
    np.testing.assert_array_equal([[cells[a][b] for b in seen] for a in seen], expected)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.sampled_from([1.0, 2.0])),
        min_size=2,
        max_size=40,
    )
)
def test_numbers_are_judged_as_by_scikit_learn(values):
    rows = pd.DataFrame(values, columns=["label", "score", "w"])
    found = evaluation.evaluate(rows, kind="regression", weight="w", n_resamples=10).metrics
    given_ = (rows["label"], rows["score"])
    weights = rows["w"]
    assert found["mae"].value == pytest.approx(metrics.mean_absolute_error(*given_, sample_weight=weights))
    assert found["rmse"].value == pytest.approx(
        metrics.root_mean_squared_error(*given_, sample_weight=weights)
    )
    if found["r2"].is_defined and np.ptp(rows["label"]) > 1e-3:
        assert found["r2"].value == pytest.approx(metrics.r2_score(*given_, sample_weight=weights), rel=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_rankings_are_judged_as_by_scikit_learn(data):
    n = data.draw(st.integers(2, 15))
    relevance = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=float)
    relevance[0] = 1.0
    scores = np.array(data.draw(st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.9, 1.5]), min_size=n, max_size=n)))
    rows = pd.DataFrame({"label": relevance, "score": scores, "q": 1})
    found = evaluation.evaluate(rows, group="q", n_resamples=5).metrics
    for k in (1, 3, 5, 10):
        expected = metrics.ndcg_score([relevance], [scores], k=k)
        assert found[f"ndcg@{k}"].value == pytest.approx(expected)
