"""Where two model artefacts differ."""

import numpy as np
import pytest

from clary.cli import comparison
from clary.testing.jobs import pack


def test_the_same_files_are_the_same_model_whenever_they_were_packed():
    files = {"a": b"1", "deep/b": b"2"}
    assert comparison.compared(pack(files), pack(dict(reversed(files.items()))))["Same"]


def test_what_is_missing_and_what_differs_is_named():
    found = comparison.compared(
        pack({"a": b"same", "b": b"0123456789", "c": b""}), pack({"a": b"same", "b": b"01234x6", "d": b""})
    )
    assert not found["Same"]
    assert (found["OnlyFirst"], found["OnlySecond"]) == (["c"], ["d"])
    assert found["Differing"] == [{"Name": "b", "Sizes": [10, 7], "FirstDifferingByte": 5}]


@pytest.mark.parametrize(
    ("first", "second", "at"), [(b"abc", b"abX", 2), (b"abc", b"xbc", 0), (b"ab", b"abc", 2), (b"", b"a", 0)]
)
def test_the_first_byte_that_differs_is_found(first, second, at):
    assert comparison.first_difference(first, second) == at


def test_xgboost_models_that_differ_are_asked_the_same_rows():
    xgboost = pytest.importorskip("xgboost")
    rows = np.random.default_rng(1).normal(size=(80, 3))
    matrix = xgboost.DMatrix(rows, label=rows.sum(axis=1) > 0.3)
    models = [
        bytes(xgboost.train({"max_depth": depth, "nthread": 1}, matrix, 3).save_raw("ubj"))
        for depth in (2, 4)
    ]
    found = comparison.compared(*(pack({"xgboost-model": model}) for model in models))["Predictions"]
    assert found["Rows"] == comparison.N_ROWS
    assert 0 < found["Differing"] <= found["Rows"]
    assert found["LargestDifference"] > 0
    assert "Unknown" in comparison.predictions(b"no model", models[0])
