"""What an evaluation says: SageMaker's form, costs, slices, intervals, decision, report."""

import json
import re
import tarfile
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clary.toolkit import evaluation
from clary.toolkit.evaluation._counts import Sweep

RNG = np.random.default_rng(1)
N = 2_000
LABELS = (RNG.random(N) < 0.1).astype(int)
SCORES = 1 / (1 + np.exp(-(RNG.normal(size=N) + 2.0 * LABELS - 2)))
ROWS = pd.DataFrame(
    {
        "fraud": LABELS,
        "p": SCORES,
        "country": RNG.choice(["DE", "FR"], N),
        "amount": np.exp(RNG.normal(size=N)),
    }
)
COSTS = {"missed": 250, "alarm": 10}


@pytest.fixture(scope="module")
def judged():
    return evaluation.evaluate(
        ROWS, label="fraud", score="p", costs=COSTS, slices=("country", "amount"), n_resamples=100
    )


def test_the_document_is_that_of_sagemakers_model_quality(judged):
    document = judged.document
    assert document["dataset"] == {"item_count": N}
    quality = document["binary_classification_metrics"]
    for name in ("accuracy", "precision", "recall", "auc", "f0_5", "f1", "f2", "true_positive_rate"):
        assert set(quality[name]) == {"value", "standard_deviation"}, name
    assert sum(quality["confusion_matrix"][a][b] for a in "01" for b in "01") == N
    assert quality["accuracy_best_constant_classifier"]["value"] == pytest.approx(1 - LABELS.mean())
    curve = quality["receiver_operating_characteristic_curve"]
    assert len(curve["false_positive_rates"]) == len(curve["true_positive_rates"]) <= 400
    low, high = document["confidence_intervals_95"]["auc"]
    assert low < quality["auc"]["value"] < high


def test_costs_name_the_best_threshold_and_what_it_saves(judged):
    costs = judged.document["costs"]
    assert costs["cost_matrix"] == [[0, 10], [250, 0]]
    assert costs["break_even_probability"] == pytest.approx(10 / 260)
    called = costs["best_threshold"] <= SCORES
    expected = 250 * (LABELS & ~called).sum() + 10 * (~LABELS.astype(bool) & called).sum()
    assert costs["total_cost_best"] == expected < costs["total_cost"]
    assert costs["saving"]["value"] == pytest.approx((costs["total_cost"] - expected) / N)
    assert f"Threshold {costs['best_threshold']:.3g} instead of 0.5 saves" in judged.verdict


def test_slices_cover_all_rows_and_numbers_are_cut_in_quarters(judged):
    slices = judged.document["slices"]
    for found in slices.values():
        assert sum(each["item_count"] for each in found.values()) == N
    assert set(slices["country"]) == {"DE", "FR"}
    assert len(slices["amount"]) == 4
    assert slices["country"]["DE"]["auc"]["standard_deviation"] > 0


def test_the_same_seed_gives_the_same_intervals_and_the_spread_is_that_of_other_rows():
    def spread(seed):
        return (
            evaluation.evaluate(ROWS, label="fraud", score="p", seed=seed).metrics["auc"].standard_deviation
        )

    assert spread(0) == spread(0)
    areas = []
    for n in range(60):
        rng = np.random.default_rng(n)
        labels = (rng.random(N) < 0.1).astype(int)
        scores = rng.normal(size=N) + 2.0 * labels
        areas.append(Sweep.of(labels > 0, scores, np.ones(N)).auc)
    assert spread(0) == pytest.approx(np.std(areas), rel=0.4)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression", "ranking"])
def test_every_report_is_one_file_without_anything_from_elsewhere(kind, tmp_path):
    rows = pd.DataFrame({"label": LABELS, "score": SCORES, "q": np.arange(N) // 10})
    options: dict[str, Any] = (
        {"group": "q"} if kind == "ranking" else {"costs": COSTS} if kind == "binary" else {}
    )
    if kind == "multiclass":
        rows = pd.DataFrame({"label": np.array(list("ab"))[LABELS], "p_a": 1 - SCORES, "p_b": SCORES})
        options = {"score": ("p_a", "p_b"), "costs": {"b": {"a": 9}}}
    found = evaluation.evaluate(rows, kind=kind, n_resamples=20, **options)
    found.write(tmp_path, title="A <report> & more")
    page = (tmp_path / "report.html").read_text()
    assert "A &lt;report&gt; &amp; more" in page
    assert not re.search(r"https?://|<script|<img|<link|@import|url\(", page)
    assert page.count("<svg") == len(found.figures) + sum(each.is_wide for each in found.figures) > 0
    assert "prefers-color-scheme:dark" in page
    assert "nan" not in page.lower().replace("tenance", "")
    assert json.loads((tmp_path / "evaluation.json").read_text())["dataset"]["item_count"] == N


def test_a_decision_goes_into_a_model_and_is_read_from_it(judged, tmp_path):
    (tmp_path / "model.bin").write_bytes(b"weights")
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "model.bin", "model.bin")
    for _ in range(2):
        evaluation.export(archive, judged.decision)
    with tarfile.open(archive) as tar:
        assert sorted(tar.getnames()) == ["decision.json", "model.bin"]
        tar.extractall(tmp_path / "out", filter="data")
    decision = evaluation.Decision.load(tmp_path / "out")
    best = judged.document["costs"]["best_threshold"]
    np.testing.assert_array_equal(decision(SCORES), (best <= SCORES).astype(int))
    assert evaluation.Decision.load(tmp_path / "nowhere").threshold == 0.5
    evaluation.export(tmp_path / "out", judged.decision)


def test_decisions_of_several_classes_take_the_least_expected_cost():
    rows = pd.DataFrame({"label": ["a", "b", "a"], "p_a": [0.6, 0.4, 0.9], "p_b": [0.4, 0.6, 0.1]})
    found = evaluation.evaluate(rows, score=("p_a", "p_b"), costs={"b": {"a": 9}}, n_resamples=5)
    assert found.decision is not None
    decision = evaluation.Decision.of(found.decision)
    assert list(decision([[0.6, 0.4], [0.95, 0.05]])) == ["b", "a"]
    assert found.document["costs"]["saving"]["value"] <= 0
    assert "deciding by costs saves nothing" in found.verdict


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"label": "gone"}, "label: there is no column 'gone'; there are fraud, p"),
        ({"label": "fraud", "score": "country"}, "score: column 'country' must be numbers; row 1 has"),
        (
            {"label": "country", "score": "p", "kind": "binary"},
            "positive '1': column 'country' has DE and FR",
        ),
        ({"label": "fraud", "score": "p", "kind": "other"}, "kind 'other': it must be one of binary"),
        ({"label": "fraud", "score": "p", "costs": {"fn": 1}}, "costs {'fn': 1}: write"),
        ({"label": "fraud", "score": "p", "kind": "ranking"}, "group: rankings need the column"),
        ({"label": "fraud", "score": "p", "weight": "country"}, "could not convert|weight"),
    ],
)
def test_mistakes_are_named(options, text):
    with pytest.raises(ValueError, match=text):
        evaluation.evaluate(ROWS, **options)


def test_rows_of_one_class_are_judged_as_far_as_they_go(tmp_path):
    rows = pd.DataFrame({"label": [0, 0, 0], "score": [0.1, 0.2, 0.9]})
    found = evaluation.evaluate(rows, kind="binary", costs=COSTS, n_resamples=10)
    found.write(tmp_path)
    assert not found.metrics["auc"].is_defined
    assert "auc" not in found.document["binary_classification_metrics"]
    assert any("one class" in each for each in found.notes)
