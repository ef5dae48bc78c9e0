import json
from typing import Any

import pytest

from clary.algorithms import _artifact, _decision, base
from clary.algorithms.base import Question
from clary.kernel.errors import CustomerError
from clary.toolkit import evaluation

LINEAR = {"weight": [[1.0]], "bias": [0.0], "threshold": 0.5, "loss": "logistic"}
FACTORS = {"bias": 0.0, "linear": [1.0], "factors": [[0.0]]}


def label_of(name, folder, arrays, decision=None):
    """Return the label that a model of `arrays` gives a row whose score is 0.6225."""
    _artifact.save(folder / "model_algo-1", arrays)
    if decision is not None:
        evaluation.export(folder, decision)
    question = Question(
        body=b'{"instances": [{"features": [0.5]}]}',
        content_type="application/json",
        accept="application/json",
    )
    (answer,) = base.find(name).load(folder, {}).predict_many([question])
    (found,) = json.loads(answer.body)["predictions"]
    assert found["score"] == pytest.approx(0.62246, abs=1e-4)
    return found["predicted_label"]


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("linear_learner", {**LINEAR, "predictor_type": "binary_classifier"}),
        ("factorization_machines", {**FACTORS, "predictor_type": "binary_classifier"}),
    ],
)
def test_a_binary_classifier_decides_by_the_exported_threshold(tmp_path, name, arrays):
    assert label_of(name, tmp_path, arrays) == 1
    for threshold, wanted in ((0.62, 1), (0.63, 0)):
        assert label_of(name, tmp_path, arrays, {"kind": "binary", "threshold": threshold}) == wanted


def test_a_flat_model_has_the_exported_threshold(tmp_path):
    _artifact.save(tmp_path / "model_algo-1", {**LINEAR, "predictor_type": "binary_classifier"})
    evaluation.export(tmp_path, {"kind": "binary", "threshold": 0.9})
    predictor: Any = base.find("linear_learner").load(tmp_path, {})
    flat = predictor.flat()
    assert flat.numbers["threshold"] == 0.9


@pytest.mark.parametrize(
    ("name", "arrays", "named"),
    [
        ("linear_learner", {**LINEAR, "predictor_type": "regressor"}, "predictor_type regressor answers"),
        ("factorization_machines", {**FACTORS, "predictor_type": "regressor"}, "predictor_type regressor"),
        ("knn", {}, "knn answers no label that a threshold decides"),
        ("kmeans", {"centers": [[0.0]]}, r"kmeans .* Binary classifiers of xgboost, linear-learner and"),
    ],
)
def test_what_no_threshold_decides_refuses_it(tmp_path, name, arrays, named):
    _artifact.save(tmp_path / "model_algo-1", arrays)
    evaluation.export(tmp_path, {"kind": "binary", "threshold": 0.3})
    with pytest.raises(CustomerError, match=named):
        base.find(name).load(tmp_path, {})


def test_a_decision_among_several_classes_is_refused_by_a_binary_classifier(tmp_path):
    _artifact.save(tmp_path / "model_algo-1", {**LINEAR, "predictor_type": "binary_classifier"})
    evaluation.export(tmp_path, {"kind": "multiclass", "classes": ["a"], "cost_matrix": [[0]]})
    with pytest.raises(CustomerError, match="kind is 'multiclass' and threshold None"):
        base.find("linear_learner").load(tmp_path, {})


def test_the_text_names_every_algorithm_that_decides():
    decides = {name for name in base.names() if getattr(base.find(name), "decides", name == "xgboost")}
    assert all(name.replace("_", "-") in _decision.WHO for name in decides)
