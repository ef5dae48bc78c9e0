"""Linear models, components, centres: what is answered in place is, byte for byte, the replica's answer."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.algorithms._answers import REQUESTS
from clary.algorithms._rows import RowPredictor
from clary.algorithms.base import Question
from clary.algorithms.factorization_machines.predict import MachinePredictor
from clary.algorithms.ipinsights._network import keys_of
from clary.algorithms.ipinsights.predict import EventPredictor
from clary.algorithms.kmeans.predict import KMeansPredictor
from clary.algorithms.linear_learner.predict import LinearPredictor
from clary.algorithms.pca.predict import PcaPredictor
from clary.algorithms.randomcutforest.forest import Forest
from clary.algorithms.randomcutforest.predict import ForestPredictor
from clary.kernel import registry
from clary.serving.inplace import base
from clary.serving.inplace.base import Model
from clary.toolkit.flat import Flat, FlatError
from clary.toolkit.kernels import factors, linear

N_FEATURES = 6
DRAW = np.random.default_rng(5)


def learner(kind: str, loss: str, n_outputs: int = 1, accept: str = "") -> LinearPredictor:
    model = {
        "weight": DRAW.normal(size=(n_outputs, N_FEATURES)).astype(np.float32),
        "bias": DRAW.normal(size=n_outputs).astype(np.float32),
        "threshold": 0.4,
        "predictor_type": kind,
        "loss": loss,
    }
    return LinearPredictor(model, {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": accept})


def machine(kind: str) -> MachinePredictor:
    model = {
        "linear": DRAW.normal(size=N_FEATURES).astype(np.float32),
        "factors": DRAW.normal(size=(N_FEATURES, 4)).astype(np.float32) / 4,
        "bias": np.float32(0.3),
        "predictor_type": kind,
    }
    return MachinePredictor(model, {})


def forest(n_rows: int) -> ForestPredictor:
    samples = np.round(DRAW.normal(size=(9, n_rows, N_FEATURES)), 1).astype(np.float32)
    return ForestPredictor(Forest.grow(samples, DRAW), {})


MODELS: dict[str, RowPredictor] = {
    "regressor": learner("regressor", "squared_loss"),
    "regressor in CSV": learner("regressor", "absolute_loss", accept="text/csv"),
    "logistic": learner("binary_classifier", "logistic"),
    "hinge": learner("binary_classifier", "hinge_loss"),
    "multiclass": learner("multiclass_classifier", "softmax_loss", 4),
    "pca": PcaPredictor(DRAW.normal(size=N_FEATURES), DRAW.normal(size=(N_FEATURES, 3)), {}),
    "pca of one": PcaPredictor(DRAW.normal(size=N_FEATURES), DRAW.normal(size=(N_FEATURES, 1)), {}),
    "kmeans": KMeansPredictor(DRAW.normal(size=(5, N_FEATURES)).astype(np.float32), {}),
    "kmeans of one": KMeansPredictor(DRAW.normal(size=(1, N_FEATURES)).astype(np.float32), {}),
    "forest": forest(20),
    "forest of one": forest(1),
    "machine": machine("regressor"),
    "machine of classes": machine("binary_classifier"),
}
WITHOUT_CSV = {"machine", "machine of classes"}
"""The service reads no CSV for them."""
LOOSE = {"forest", "forest of one"}
"""Their kernel adds up in an order of its own: both sides run it, or neither does."""
ACCEPTS = (
    "",
    "*/*",
    "application/json",
    "application/json; verbose=true",
    "application/json;verbose=true",
    "application/jsonlines",
    "text/csv",
)


@cache
def placed(name: str) -> Model:
    made = MODELS[name].flat()
    assert made is not None
    return Model(made, registry.member(base.PACKAGE, made.kind).load(made))


def unbounded(model: Model) -> None:
    """Let a model answer whatever requests cost until now."""
    for each in model.formats.values():
        each.most_bytes = 1 << 20


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("name", [name for name in MODELS if name not in WITHOUT_CSV])
def test_plain_rows_are_answered_in_place_in_the_same_bytes(name: str, accept: str) -> None:
    predictor, model = MODELS[name], placed(name)
    unbounded(model)
    for n_rows in (1, 3):
        rows = DRAW.normal(size=(n_rows, N_FEATURES)).astype(np.float32)
        body = "\n".join(",".join(map(repr, row)) for row in rows.tolist()).encode()
        answer = predictor.predict_many([Question(body=body, content_type="text/csv", accept=accept)])[0]
        assert model.answer(body, "text/csv", accept) == (answer.content_type, answer.body)


def bodies(rows: Any) -> dict[str, bytes]:
    """Return rows as JSON, JSON Lines, and both with a list of columns."""
    dense: list[Any] = [{"features": row} for row in rows]
    data: list[Any] = [{"data": {"features": {"values": row}}} for row in rows]
    sparse: list[Any] = [
        {"data": {"features": {"keys": [0, 4], "shape": [N_FEATURES], "values": row[:2]}}} for row in rows
    ]
    found = {}
    for name, each in (("dense", dense), ("data", data), ("sparse", sparse)):
        found[f"application/json {name}"] = json.dumps({"instances": each}).encode()
        found[f"application/jsonlines {name}"] = "\n".join(map(json.dumps, each)).encode()
    return found


@pytest.mark.parametrize("name", MODELS)
def test_documents_of_rows_are_answered_in_place_in_the_same_bytes(name: str) -> None:
    predictor, model = MODELS[name], placed(name)
    unbounded(model)
    for n_rows in (1, 3):
        rows = DRAW.normal(size=(n_rows, N_FEATURES)).tolist()
        for kind, body in bodies(rows).items():
            content_type = kind.partition(" ")[0]
            answer = predictor.predict_many([Question(body=body, content_type=content_type)])[0]
            assert model.answer(body, content_type, "") == (answer.content_type, answer.body), kind


NUMBERS = st.one_of(
    st.floats(-1e3, 1e3).map(repr),
    st.floats(-5, 5).map("{:.4g}".format),
    st.floats(-1e38, 1e38).map(repr),
    st.sampled_from(["", "nan", "0", "-0", "1e3", " 2", "inf", "x", '"3"', "1e-40", "9" * 30]),
)
BODIES = st.one_of(
    st.lists(st.lists(NUMBERS, min_size=N_FEATURES, max_size=N_FEATURES), min_size=1, max_size=4).map(
        lambda rows: "\n".join(",".join(row) for row in rows).encode()
    ),
    st.lists(NUMBERS, max_size=9).map(lambda row: ",".join(row).encode()),
    st.binary(max_size=30),
)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value")
@settings(deadline=None, max_examples=300)
@given(
    body=BODIES,
    accept=st.sampled_from((*ACCEPTS, "application/x-recordio-protobuf", "text/csv, */*", "image/png")),
    content_type=st.sampled_from((*REQUESTS, "", "text/csv; label_size=1", "application/json")),
    name=st.sampled_from(list(MODELS)),
)
def test_whatever_is_asked_both_answer_alike(body: bytes, accept: str, content_type: str, name: str) -> None:
    model = placed(name)
    unbounded(model)
    found = model.answer(body, content_type, accept)
    question = Question(body=body, content_type=content_type, accept=accept)
    answer = MODELS[name].predict_many([question])[0]
    assert found is None or (answer.status, answer.content_type, answer.body) == (200, *found)


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.floats(-1e3, 1e3),
    st.integers(-(2**70), 2**70),
    st.sampled_from([None, "1", "x", 1e39, True, [], -0.0]),
)
ROWS = st.one_of(
    st.lists(VALUES, min_size=N_FEATURES, max_size=N_FEATURES),
    st.lists(st.floats(-5, 5), min_size=N_FEATURES, max_size=N_FEATURES),
    st.lists(VALUES, max_size=8),
)
KEYS = st.lists(st.one_of(st.integers(-1, 7), st.floats(0, 3), st.booleans(), st.just(2**70)), max_size=4)
FEATURES = st.one_of(
    ROWS,
    st.fixed_dictionaries({"values": ROWS}),
    st.fixed_dictionaries(
        {"values": st.lists(VALUES, max_size=4), "keys": KEYS},
        optional={"shape": st.sampled_from([[], [6], [7], [2], ["6"], 6, None])},
    ),
    st.fixed_dictionaries(
        {
            "values": st.lists(st.floats(-5, 5), min_size=2, max_size=2),
            "keys": st.lists(st.integers(0, 6), min_size=2, max_size=2),
        }
    ),
)
INSTANCES = st.one_of(
    st.fixed_dictionaries({"features": FEATURES}),
    st.fixed_dictionaries(
        {"data": st.fixed_dictionaries({"features": FEATURES})}, optional={"features": ROWS}
    ),
    st.fixed_dictionaries({"data": FEATURES, "features": FEATURES}),
    ROWS,
)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value")
@settings(deadline=None, max_examples=400)
@given(
    instances=st.lists(INSTANCES, max_size=3),
    is_lines=st.booleans(),
    name=st.sampled_from(["regressor", "multiclass", "kmeans", "machine", "forest"]),
)
def test_whatever_documents_say_both_answer_alike(instances: list[Any], is_lines: bool, name: str) -> None:
    model = placed(name)
    unbounded(model)
    lines = "\n".join(map(json.dumps, instances))
    body = (lines if is_lines else json.dumps({"instances": instances})).encode()
    content_type = "application/jsonlines" if is_lines else "application/json"
    found = model.answer(body, content_type, "")
    answer = MODELS[name].predict_many([Question(body=body, content_type=content_type)])[0]
    assert found is None or (answer.status, answer.content_type, answer.body) == (200, *found)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in LOOSE])
def test_with_and_without_numba_the_same_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = placed(name)
    rows = DRAW.normal(size=(50, N_FEATURES)).tolist()
    lines = [",".join(map(repr, row)).encode() for row in rows]
    documents = [json.dumps({"instances": [{"features": row}]}).encode() for row in rows]
    told = [model.answer(body, "application/json", "") for body in documents]
    found = [model.answer(body, "text/csv", "") for body in lines]
    for each in (linear, factors):
        monkeypatch.setattr(each, "compiled", lambda: None)
    unbounded(model)
    assert [model.answer(body, "text/csv", "") for body in lines] == found
    assert [model.answer(body, "application/json", "") for body in documents] == told
    assert None not in told
    assert (None in found) == (name in WITHOUT_CSV)


@pytest.mark.parametrize("without", [False, True])
def test_what_the_order_of_adding_up_would_decide_is_left_to_the_replica(
    without: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without:
        monkeypatch.setattr(linear, "compiled", lambda: None)
    weights = np.array([[1.0, 2.0**-24 + 2.0**-77]])  # half a unit of float32 above 1, and a breath
    rows, scores = np.empty((4, 2), np.float32), np.empty((4, 1), np.float32)
    assert linear.answer(b"1,1", weights, np.zeros(1), "identity", rows, scores) == 1
    assert np.isnan(scores[0, 0])
    twins = np.array([[1.0, 0.0], [0.0, 1.0]])
    scores = np.empty((4, 2), np.float32)
    assert linear.nearest(b"3,3", twins, rows, scores) == 1
    assert np.isnan(scores[0, 0])


@pytest.mark.parametrize("without", [False, True])
def test_a_sum_of_factors_that_cancels_out_is_left_to_the_replica(
    without: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without:
        monkeypatch.setattr(factors, "compiled", lambda: None)
    rows, scores = np.ones((1, 2), np.float32), np.empty((1, 1), np.float32)
    factors.answer(rows, np.array([[1e9, 0.1], [-1e9, 0.3]]), 0.1, "identity", scores)
    assert np.isnan(scores[0, 0])
    factors.answer(rows, np.array([[-90.0, 0.0], [0.0, 0.0]]), 0.0, "sigmoid", scores)
    assert np.isnan(scores[0, 0])  # the sigmoid's clipping would show


def test_an_output_that_is_never_told_stays_with_the_replica() -> None:
    assert learner("regressor", "squared_loss", 2).flat() is None


def astray(name: str, place: tuple[int, ...], value: int) -> dict[str, Any]:
    """Return a tree of two rows and one column, but for one number."""
    tree = {
        "nodes": np.array([[[0, 1, 2]]], np.int32),
        "cuts": np.zeros((1, 1), np.float32),
        "masses": np.array([[2, 1, 1]], np.int32),
        "points": np.array([[[0], [1]]], np.float32),
    }
    tree[name][place] = value
    return tree


def vectors(n_layers: int, n_columns: int = 8) -> EventPredictor:
    """Return vectors of 20 entities and of every prefix of one address, and layers over them."""
    prefixes = np.sort(
        np.concatenate([keys_of(np.array([3232235778], np.uint32), each) for each in (8, 16, 24)])
    )
    shapes: dict[str, tuple[int, ...]] = {
        "bit_weight": (32,),
        "prefix_vectors": (3,),
        "entity_vectors": (20,),
    }
    for layer in range(n_layers):
        shapes |= {f"weight_{layer}": (n_columns,), f"bias_{layer}": ()}
    draw = np.random.default_rng(n_layers)
    drawn = {
        name: draw.normal(0, 0.3, (*shape, n_columns)).astype(np.float32) for name, shape in shapes.items()
    }
    return EventPredictor({"prefixes": prefixes, **drawn}, {})


@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_pairs_are_answered_in_place_in_the_same_bytes(n_layers: int) -> None:
    predictor = vectors(n_layers)
    made = predictor.flat()
    model = Model(made, registry.member(base.PACKAGE, made.kind).load(made))
    unbounded(model)
    addresses = ["192.168.1.2", "192.168.1.77", "192.9.9.9", "0.0.0.0", "255.255.255.255"]
    pairs = [f"{entity},{address}" for entity in ("anna", '"bert"', " carl") for address in addresses]
    for body in ("\n".join(pairs).encode(), *(pair.encode() for pair in pairs)):
        for accept in ("", "*/*", "application/json", "application/jsonlines"):
            answer = predictor.predict_many([Question(body=body, content_type="text/csv", accept=accept)])[0]
            assert model.answer(body, "text/csv", accept) == (answer.content_type, answer.body)
    for body in (
        b"anna",
        b"anna,1.2.3",
        b",1.2.3.4",
        b"a,b,1.2.3.4",
        b"\n",
        b"anna,1.2.3.4\nbert",
        b'x"\r-,1.2.3.4',
    ):
        assert predictor.predict_many([Question(body=body, content_type="text/csv")])[0].status == 400
        assert model.answer(body, "text/csv", "") is None
    assert model.answer(b"anna,1.2.3.4", "text/csv", "application/json; verbose=true") is None


@pytest.mark.parametrize(("name", "width"), [("bits", 7), ("weights", 9), ("biases", 1), ("vectors", 7)])
def test_vectors_that_do_not_fit_are_refused(name: str, width: int) -> None:
    made = vectors(2).flat()
    array = made.arrays[name]
    wrong = np.ones((*array.shape[:-1], width))
    with pytest.raises(FlatError, match=name):
        registry.member(base.PACKAGE, "pairs").load(replace(made, arrays={**made.arrays, name: wrong}))


@pytest.mark.parametrize(
    ("kind", "arrays", "numbers"),
    [
        ("linear", {"weights": np.ones((1, 2)), "bias": np.ones(2)}, {}),
        ("linear", {"weights": np.ones((1, 3)), "bias": np.ones(1)}, {}),
        ("linear", {"weights": np.ones((1, 2), np.float32), "bias": np.ones(1)}, {}),
        ("linear", {"weights": np.ones((0, 2)), "bias": np.ones(0)}, {}),
        ("linear", {"weights": np.ones((2, 2)), "bias": np.ones(2)}, {"label": "threshold"}),
        ("linear", {"weights": np.ones((1, 2)), "bias": np.ones(1)}, {"link": "exec"}),
        ("centres", {"centres": np.ones((2, 3))}, {}),
        ("centres", {"centres": np.ones((0, 2))}, {}),
        ("centres", {"centres": np.ones((2, 2), np.int32)}, {}),
        ("factors", {"weights": np.ones((3, 2))}, {"bias": 0.0}),
        ("factors", {"weights": np.ones((2, 2), np.float32)}, {"bias": 0.0}),
        ("factors", {"weights": np.ones((2, 0))}, {"bias": 0.0}),
        ("factors", {"weights": np.ones((2, 2))}, {"bias": 0.0, "link": "softmax"}),
        ("cuts", astray("nodes", (0, 0, 0), 1), {}),
        ("cuts", astray("nodes", (0, 0, 1), 3), {}),
        ("cuts", astray("nodes", (0, 0, 1), 0), {}),
        ("cuts", astray("masses", (0, 0), -1), {}),
        ("cuts", astray("masses", (0, 1), 0), {}),
    ],
)
def test_arrays_that_do_not_fit_are_refused(kind: str, arrays: Any, numbers: dict[str, str]) -> None:
    flat = Flat(
        kind=kind,
        n_features=1 if kind == "cuts" else 2,
        arrays=arrays,
        numbers={"link": "identity", "label": "none"} | numbers,
        requests=(),
        forms={},
    )
    with pytest.raises(FlatError):
        registry.member(base.PACKAGE, kind).load(flat)
