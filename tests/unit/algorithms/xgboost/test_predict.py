"""Answers: content types, statuses and spellings of the service's container."""

import json
import pickle
from typing import Any

import numpy as np
import pytest
import xgboost

from clary.algorithms import base
from clary.algorithms.base import Question
from clary.algorithms.xgboost import _artifact, _scoring
from clary.kernel.errors import CustomerError
from clary.toolkit import evaluation
from clary.toolkit.formats import recordio_protobuf

ROW = b"1.5,0,2"
CSV = "text/csv"


def boosted(objective: Any = "binary:logistic", n_rounds: Any = 3, **params: Any) -> Any:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(80, 3)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(int) + (features[:, 1] > 1) * (objective.startswith("multi:"))
    data = xgboost.DMatrix(features, labels)
    return xgboost.train({"objective": objective, "nthread": 1, **params}, data, n_rounds)


@pytest.fixture
def model_dir(tmp_path: Any) -> Any:
    _artifact.save(boosted(), tmp_path / "xgboost-model")
    return tmp_path


def load(model_dir: Any, **environ: Any) -> Any:
    return base.find("xgboost").load(model_dir, environ)


def ask(model_dir: Any, body: Any = ROW, content_type: Any = CSV, accept: Any = "", **environ: Any) -> Any:
    return load(model_dir, **environ).predict_many(
        [Question(body=body, content_type=content_type, accept=accept)]
    )[0]


def expected(body: Any = ROW, booster: Any = None) -> Any:
    rows = np.array([[float(field) for field in line.split(b",")] for line in body.split(b"\n")], np.float32)
    return (booster or boosted()).predict(xgboost.DMatrix(rows)).tolist()


def test_csv_is_answered_in_csv(model_dir):
    answer = ask(model_dir)
    assert (answer.status, answer.content_type) == (200, CSV)
    assert answer.body == str(expected()[0]).encode()


@pytest.mark.parametrize(
    ("version", "wanted"),
    [("", "{},{}"), ("1", "{},{}"), ("1.3-1", "{},{}"), ("1.5-1", "{}\n{}\n"), ("3.0-5", "{}\n{}\n")],
)
def test_rows_are_separated_as_the_images_version_does(model_dir, version, wanted):
    body = ROW + b"\n3,4,5"
    answer = ask(model_dir, body, CLARY_IMAGE_VERSION=version)
    assert answer.body.decode() == wanted.format(*expected(body))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (ROW, "text/csv; charset=utf-8"),
        (b"1.5;0;2", "text/csv"),
        (b"0:1.5 1:0 2:2", "text/libsvm"),
        (b"0:1.5 1:0 2:2", "text/x-libsvm"),
        (b"1 0:1.5 1:0 2:2", ""),
        (recordio_protobuf.write(np.array([[1.5, 0, 2]], np.float32)), "application/x-recordio-protobuf"),
    ],
)
def test_every_request_type_gives_the_same_answer(model_dir, body, content_type):
    assert ask(model_dir, body, content_type).body == ask(model_dir).body


def test_answers_come_in_every_form(model_dir):
    score = expected()[0]
    assert json.loads(ask(model_dir, accept="application/json").body) == {"predictions": [{"score": score}]}
    assert json.loads(ask(model_dir, accept="application/jsonlines;verbose=true").body) == {"score": score}
    record = next(
        recordio_protobuf.decode_records(ask(model_dir, accept="application/x-recordio-protobuf").body)
    )
    assert record.label["score"].values.tolist() == [score]
    assert (
        ask(model_dir, accept="*/*", SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="application/json").body[:1] == b"{"
    )
    assert ask(model_dir, accept="image/png, application/json").content_type == "application/json"
    assert ask(model_dir, ROW + b"\n" + ROW, SAGEMAKER_BATCH="True").body.decode() == f"{score}\n{score}\n"


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "text"),
    [
        (b"", CSV, "", 204, ""),
        (ROW, "application/json", "", 415, "application/json is not an accepted ContentType: csv, libsvm"),
        (
            b"1,x,3",
            CSV,
            "",
            415,
            "Loading csv data failed with Exception, please ensure",
        ),
        (b"1:x", "text/libsvm", "", 415, "Loading libsvm data failed with Exception"),
        (
            b"abc",
            "application/x-recordio-protobuf",
            "",
            415,
            "Loading recordio-protobuf data failed",
        ),
        (
            b"1,2",
            CSV,
            "",
            400,
            "Unable to evaluate payload provided: Feature size of csv inference data 2 is not consistent "
            "with feature size of trained model 3.",
        ),
        (
            b"7:1",
            "text/libsvm",
            "",
            400,
            "Unable to evaluate payload provided: Feature size of libsvm",
        ),
        (
            ROW,
            CSV,
            "text/libsvm",
            406,
            "Accept type text/libsvm is not supported. Please use",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_in_the_containers_words(
    model_dir, body, content_type, accept, status, text
):
    answer = ask(model_dir, body, content_type, accept)
    assert answer.status == status
    assert answer.body.decode().startswith(text)


def test_a_sparse_row_may_lack_the_last_columns(model_dir):
    assert ask(model_dir, b"0:1.5", "text/libsvm").body == ask(model_dir, b"1.5,,").body


@pytest.mark.parametrize(
    ("objective", "selected", "wanted"),
    [
        (
            "binary:logistic",
            "predicted_label,probability,labels",
            ("predicted_label", "probability", "labels"),
        ),
        ("multi:softprob", "predicted_label, probabilities", ("predicted_label", "probabilities")),
        ("multi:softmax", "predicted_label", ("predicted_label",)),
        ("reg:squarederror", "predicted_score", ("predicted_score",)),
    ],
)
def test_content_can_be_selected(tmp_path, objective, selected, wanted):
    more = {"num_class": 3} if objective.startswith("multi:") else {}
    _artifact.save(boosted(objective, **more), tmp_path / "xgboost-model")
    answer = ask(tmp_path, accept="application/json", SAGEMAKER_INFERENCE_OUTPUT=selected)
    row = json.loads(answer.body)["predictions"][0]
    assert tuple(row) == wanted
    if "labels" in row:
        assert row["labels"] == [0, 1]
    if "probabilities" in row:
        assert sum(row["probabilities"]) == pytest.approx(1)
        assert row["probabilities"][row["predicted_label"]] == max(row["probabilities"])
    assert ask(tmp_path, SAGEMAKER_INFERENCE_OUTPUT=selected).status == 200


def test_the_label_is_decided_by_the_threshold_that_an_evaluation_put_into_the_model(model_dir):
    score = expected()[0]
    label = {"accept": "application/json", "SAGEMAKER_INFERENCE_OUTPUT": "predicted_label"}
    for threshold, wanted in ((score - 0.01, 1), (score + 0.01, 0)):
        evaluation.export(model_dir, {"kind": "binary", "threshold": threshold})
        assert json.loads(ask(model_dir, **label).body) == {"predictions": [{"predicted_label": wanted}]}
    assert ask(model_dir).body == str(score).encode()


def test_a_decision_beside_a_model_of_another_name_is_no_model(model_dir):
    (model_dir / "xgboost-model").rename(model_dir / "fraud.bin")
    evaluation.export(model_dir, {"kind": "binary", "threshold": 0.2})
    assert ask(model_dir).body == str(expected()[0]).encode()
    (model_dir / "decision.json").write_text('{"threshold": "high"}')
    with pytest.raises(CustomerError, match="could not convert string to float: 'high'"):
        load(model_dir)


def test_what_an_objective_does_not_have_is_nan(model_dir):
    assert ask(model_dir, SAGEMAKER_INFERENCE_OUTPUT="predicted_score").body == b"nan"


def test_probabilities_of_classes_are_spelled_by_version(tmp_path):
    booster = boosted("multi:softprob", num_class=3)
    _artifact.save(booster, tmp_path / "xgboost-model")
    scores = expected(booster=booster)[0]
    assert ask(tmp_path).body.decode() == str(scores)
    assert ask(tmp_path, CLARY_IMAGE_VERSION="1.7-1").body.decode() == ",".join(map(str, scores)) + "\n"


def test_several_models_are_an_ensemble(tmp_path):
    boosters = [boosted(n_rounds=n) for n in (1, 5)]
    for number, booster in enumerate(boosters):
        _artifact.save(booster, tmp_path / f"xgboost-model-{number}")
    mean = np.mean([expected(booster=booster) for booster in boosters], axis=0)
    assert float(ask(tmp_path).body) == pytest.approx(mean[0], abs=1e-7)
    assert float(ask(tmp_path, SAGEMAKER_INFERENCE_ENSEMBLE="false").body) == expected(booster=boosters[0])[0]


def test_several_classifiers_vote(tmp_path):
    for number, n_rounds in enumerate((1, 2, 3)):
        booster = boosted("multi:softmax", n_rounds, num_class=3)
        _artifact.save(booster, tmp_path / f"xgboost-model-{number}")
    assert ask(tmp_path, b"2,0,0").body == b"1.0"


def test_only_the_best_rounds_predict(tmp_path):
    booster = boosted(n_rounds=6)
    booster.set_attr(best_iteration="1")
    _artifact.save(booster, tmp_path / "xgboost-model")
    assert float(ask(tmp_path).body) == expected(booster=boosted(n_rounds=2))[0]


def test_a_linear_model_answers_too(tmp_path):
    booster = boosted(booster="gblinear", updater="coord_descent")
    _artifact.save(booster, tmp_path / "xgboost-model")
    assert float(ask(tmp_path).body) == pytest.approx(expected(booster=booster)[0], abs=1e-6)


def test_many_rows_are_scored_by_several_threads_alike(model_dir, monkeypatch):
    body = b"\n".join(b"%d,%d,%d" % (n % 5 - 2, n % 3, n % 7) for n in range(64))
    few = ask(model_dir, body)
    monkeypatch.setattr(_scoring, "BULK_ROWS", 8)
    assert ask(model_dir, body, SM_NUM_CPUS="2").body == few.body


def test_the_straight_call_scores_as_the_librarys_own(model_dir, monkeypatch):
    straight = ask(model_dir).body
    predictor = load(model_dir)
    monkeypatch.setattr(predictor._first, "_function", None)
    assert predictor.predict_many([Question(body=ROW, content_type=CSV)])[0].body == straight


def test_a_pickled_booster_of_an_old_container_is_read(tmp_path):
    booster = boosted()
    for protocol in (2, 3, 4, 5):
        (tmp_path / "xgboost-model").write_bytes(pickle.dumps(booster, protocol=protocol))
        assert float(ask(tmp_path).body) == expected()[0]


class Planted:
    def __reduce__(self) -> Any:
        return (print, ("run",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps(Planted()), "this pickle cannot be read: it holds builtins.print"),
        (pickle.dumps({"a": 1}), "the pickle holds a dict"),
        (b"\x80\x04 cut", "this pickle cannot be read"),
        (b"binf\0\0\0\0", "not a model that XGBoost"),
        (b"", "not a model that XGBoost"),
    ],
)
def test_what_is_no_model_is_refused_and_never_run(tmp_path, capsys, content, reason):
    (tmp_path / "xgboost-model").write_bytes(content)
    with pytest.raises(CustomerError) as refused:
        load(tmp_path)
    assert str(refused.value).startswith(f"Unable to load model: xgboost-model: {reason}")
    assert capsys.readouterr().out == ""


def test_a_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / ".hidden").write_bytes(b"")
    with pytest.raises(CustomerError, match="there is no file xgboost-model"):
        load(tmp_path)


def test_an_objective_without_a_threshold_refuses_a_decision(tmp_path):
    _artifact.save(boosted("multi:softprob", num_class=3), tmp_path / "xgboost-model")
    evaluation.export(tmp_path, {"kind": "multiclass", "classes": ["a", "b", "c"]})
    with pytest.raises(CustomerError, match="objective multi:softprob answers no label that a threshold"):
        load(tmp_path)
