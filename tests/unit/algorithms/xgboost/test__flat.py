"""What is answered in place is, byte for byte, what the replica answers; or nothing is."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.algorithms.base import Question
from clary.algorithms.xgboost import predict
from clary.algorithms.xgboost._flat import _LINKS, REQUESTS
from clary.algorithms.xgboost._scoring import Scorer
from clary.algorithms.xgboost.predict import XgboostPredictor
from clary.kernel import registry
from clary.serving.inplace import base
from clary.serving.inplace.base import Model
from clary.toolkit import flat

N_FEATURES = 6
DRAW = np.random.default_rng(3)
ROWS = DRAW.normal(size=(300, N_FEATURES)).astype(np.float32)
ROWS[DRAW.random(ROWS.shape) < 0.1] = np.nan
SIGNAL = np.nan_to_num(ROWS)[:, :3].sum(axis=1)
IMAGES = ("1.2-1", "1.7-1")


@cache
def booster(objective: str, kind: str = "gbtree", **more: Any) -> xgboost.Booster:
    labels: Any = SIGNAL
    params = {"objective": objective, "booster": kind, "max_depth": 4, "nthread": 1, **more}
    if objective.startswith("multi:"):
        params["num_class"] = 3
        labels = np.digitize(SIGNAL, [-0.5, 0.5])
    elif objective.startswith(("binary:", "reg:logistic", "rank:")):
        labels = SIGNAL > 0
    elif objective not in {"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"}:
        labels = np.exp(SIGNAL)
    if kind == "dart":
        params["rate_drop"] = 0.3
    matrix = xgboost.DMatrix(ROWS, labels)
    if objective.startswith("rank:"):
        matrix.set_group([100, 100, 100])
    return xgboost.train(params, matrix, 11)


@cache
def pair(objective: str, image: str, kind: str = "gbtree") -> tuple[XgboostPredictor, Model]:
    predictor = XgboostPredictor([Scorer(booster(objective, kind), 1)], {"CLARY_IMAGE_VERSION": image})
    made = predictor.flat()
    assert made is not None
    return predictor, Model(made, registry.member(base.PACKAGE, made.kind).load(made))


@pytest.mark.parametrize("kind", ["gbtree", "dart"])
@pytest.mark.parametrize("objective", sorted(_LINKS))
def test_every_objective_is_answered_in_place_in_the_same_bytes(objective: str, kind: str) -> None:
    predictor, model = pair(objective, "1.7-1", kind)
    for row in ROWS[:40]:
        body = ",".join("" if np.isnan(value) else repr(float(value)) for value in row).encode()
        answer = predictor.predict_many([Question(body=body, content_type="text/csv")])[0]
        assert model.answer(body, "text/csv", "") == (answer.content_type, answer.body)


NUMBERS = st.one_of(
    st.floats(-5, 5).map(repr),
    st.floats(-5, 5).map("{:.4g}".format),
    st.sampled_from(["", "nan", "0", "-1", "1e3", " 2", "inf", "x", "1_0", '"3"', "1e-400", "9" * 30]),
)
BODIES = st.one_of(
    st.tuples(
        st.lists(st.lists(NUMBERS, min_size=N_FEATURES, max_size=N_FEATURES), min_size=1, max_size=4),
        st.sampled_from(["\n", "\r\n"]),
        st.sampled_from(["", "\n", "\n\n"]),
    ).map(lambda made: (made[1].join(",".join(row) for row in made[0]) + made[2]).encode()),
    st.lists(NUMBERS, max_size=9).map(lambda row: ",".join(row).encode()),
    st.binary(max_size=30),
)
ACCEPTS = (
    "",
    "*/*",
    "text/csv",
    "application/json",
    "application/jsonlines",
    "application/x-recordio-protobuf",
)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@settings(deadline=None, max_examples=300)
@given(
    body=BODIES,
    accept=st.sampled_from((*ACCEPTS, "text/csv, */*", "image/png")),
    content_type=st.sampled_from((*REQUESTS, "", "text/libsvm", "text/csv; delimiter=;")),
    objective=st.sampled_from(["binary:logistic", "reg:squarederror", "multi:softprob", "multi:softmax"]),
    image=st.sampled_from(IMAGES),
)
def test_whatever_is_asked_both_answer_alike(
    body: bytes, accept: str, content_type: str, objective: str, image: str
) -> None:
    predictor, model = pair(objective, image)
    for each in model.formats.values():
        each.most_bytes = 1 << 20  # whatever it cost until now
    found = model.answer(body, content_type, accept)
    if found is None:
        return
    answer = predictor.predict_many([Question(body=body, content_type=content_type, accept=accept)])[0]
    assert (answer.status, answer.content_type, answer.body) == (200, *found)


PAIRS = st.one_of(
    st.tuples(st.integers(0, N_FEATURES - 1), st.floats(-5, 5)).map("{0[0]}:{0[1]!r}".format),
    st.sampled_from(
        ["0:nan", "1:inf", "2:1e39", "9:1", "-1:2", "+2:3", "1:2:3", "qid:4", "1", "# 2", "1_0:2", "3:"]
    ),
)
LIBSVM = st.lists(
    st.tuples(st.sampled_from(["", "1 ", "0:1 "]), st.lists(PAIRS, max_size=N_FEATURES)).map(
        lambda made: made[0] + " ".join(made[1])
    ),
    max_size=4,
).map(lambda lines: "\n".join(lines).encode())


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@settings(deadline=None, max_examples=300)
@given(body=LIBSVM, objective=st.sampled_from(["binary:logistic", "multi:softprob"]))
def test_whatever_libsvm_says_both_answer_alike(body: bytes, objective: str) -> None:
    predictor, model = pair(objective, "1.7-1")
    for each in model.formats.values():
        each.most_bytes = 1 << 20
    found = model.answer(body, "text/libsvm", "")
    if found is None:
        return
    answer = predictor.predict_many([Question(body=body, content_type="text/libsvm")])[0]
    assert (answer.status, answer.content_type, answer.body) == (200, *found)


def test_libsvm_is_answered_in_place() -> None:
    predictor, model = pair("binary:logistic", "1.7-1")
    body = b"1 0:0.5 3:-1.25\n0:1 1:2 2:3 3:4 4:5 5:6\n"
    answer = predictor.predict_many([Question(body=body, content_type="text/x-libsvm")])[0]
    assert model.answer(body, "text/x-libsvm", "") == (answer.content_type, answer.body)


def test_plain_requests_are_answered_in_place() -> None:
    _, model = pair("binary:logistic", "1.7-1")
    body = b"1,2,3,4,5,6"
    for accept in ACCEPTS[:5]:
        assert model.answer(body, "text/csv", accept) is not None
    assert model.answer(body, "text/csv", "image/png") is None
    assert model.answer(b"1,2,3", "text/csv", "") is None
    assert model.answer(b"\n".join([body] * 100_000), "text/csv", "") is None


def test_an_early_stop_counts() -> None:
    made = xgboost.train(
        {"objective": "reg:squarederror", "max_depth": 6, "learning_rate": 1.0, "nthread": 1},
        xgboost.DMatrix(ROWS[:150], SIGNAL[:150]),
        50,
        evals=[(xgboost.DMatrix(ROWS[150:], SIGNAL[150:]), "v")],
        early_stopping_rounds=2,
        verbose_eval=False,
    )
    predictor = XgboostPredictor([Scorer(made, 1)], {"CLARY_IMAGE_VERSION": "1.7-1"})
    found = predictor.flat()
    assert found is not None
    assert found.arrays["trees"].shape[0] == made.best_iteration + 1 < 50


@pytest.mark.parametrize(
    "environ",
    [{"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label"}, {"SAGEMAKER_BATCH": "true"}],
)
def test_spellings_of_their_own_stay_with_the_replica(environ: dict[str, str]) -> None:
    assert XgboostPredictor([Scorer(booster("binary:logistic"), 1)], environ).flat() is None


def test_an_ensemble_and_other_boosters_stay_with_the_replica() -> None:
    linear = xgboost.train(
        {"booster": "gblinear", "objective": "reg:squarederror", "nthread": 1},
        xgboost.DMatrix(np.nan_to_num(ROWS), SIGNAL), 3,
    )  # fmt: skip
    one = Scorer(booster("binary:logistic"), 1)
    assert XgboostPredictor([one, one], {}).flat() is None
    assert XgboostPredictor([Scorer(linear, 1)], {}).flat() is None
    columns = np.column_stack([DRAW.integers(0, 5, 300), ROWS[:, 0]])
    kinds = xgboost.DMatrix(columns, SIGNAL, feature_types=["c", "float"], enable_categorical=True)
    categorical = xgboost.train(
        {"objective": "reg:squarederror", "nthread": 1, "max_cat_to_onehot": 1}, kinds, 3
    )
    assert XgboostPredictor([Scorer(categorical, 1)], {}).flat() is None


def test_a_file_brings_the_model_into_another_process(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/xgboost-model").write_bytes(bytes(booster("binary:logistic").save_raw("ubj")))
    predictor = predict.load(tmp_path / "model", {"CLARY_IMAGE_VERSION": "1.7-1"})
    made = predictor.flat()
    assert made is not None
    flat.write(made, tmp_path / "r.flat")
    model = base.load(tmp_path / "r.flat", most_bytes=1 << 20)
    answer = predictor.predict_many([Question(body=b"1,2,3,4,5,6", content_type="text/csv")])[0]
    assert model.answer(b"1,2,3,4,5,6", "text/csv", "*/*") == ("text/csv", answer.body)
