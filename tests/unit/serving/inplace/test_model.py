"""Models in place: their spelling, and their cost, which keeps them from holding the loop."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from clary.serving.inplace import base
from clary.serving.inplace.base import Model
from clary.toolkit import flat
from clary.toolkit.flat import Flat, FlatError, Form

FORMS = {
    "": Form(content_type="text/csv", pieces=("", ",", ""), between="\n", end="\n"),
    "json": Form(
        content_type="application/json", pieces=('{"100%": ', ', "l": ', "}"), start="[", between=", ",
        end="]", integers=(1,),
    ),
}  # fmt: skip
FLAT = Flat(kind="none", n_features=2, arrays={}, requests=("text/csv",), forms=FORMS)


class Fixed:
    n_outputs = 2
    n_bytes = 0
    rows = np.empty((1, 2), np.float32)

    def __init__(self, *values: float) -> None:
        self.values: Sequence[float] | None = values

    def answer(self, body: bytes) -> Sequence[float] | None:
        return self.values

    def score(self, n_rows: int) -> Sequence[float] | None:
        return self.values

    def usual(self, name: str) -> bytes:
        return b"1,1"


def model(*values: float) -> Model:
    made = Model(FLAT, Fixed(*values))
    made.formats["text/csv"].most_bytes = 1000
    return made


def test_rows_are_spelled_by_the_form() -> None:
    assert model(0.1, 1.0).answer(b"x", "text/csv", "") == ("text/csv", b"0.1,1.0\n")
    assert model(0.1, 1.0, 1e-20, 2.0).answer(b"x", "text/csv", "json") == (
        "application/json",
        b'[{"100%": 0.1, "l": 1}, {"100%": 1e-20, "l": 2}]',
    )


def test_what_is_not_finite_or_not_known_is_the_replicas() -> None:
    assert model(float("nan"), 1.0).answer(b"x", "text/csv", "") is None
    assert model(float("inf"), 1.0).answer(b"x", "text/csv", "json") is None
    assert model(0.1, 1.0).answer(b"x", "text/html", "") is None
    assert model(0.1, 1.0).answer(b"x", "text/csv", "html") is None
    assert model(0.1, 1.0).answer(b"x" * 1001, "text/csv", "") is None


def test_a_model_that_grows_slow_is_demoted_and_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(0.1, 1.0)
    now = [0.0]

    def slow() -> float:
        now[0] += 0.01
        return now[0]

    monkeypatch.setattr(base, "perf_counter", slow)
    answers = [made.answer(b"x" * 40, "text/csv", "") for _ in range(500)]
    assert answers[0] is not None
    assert answers[-1] is None
    for _ in range(500):
        made.relax()
    assert made.answer(b"x" * 40, "text/csv", "") is not None


def test_a_file_of_no_kind_or_wrong_arrays_is_refused(tmp_path: Path) -> None:
    for kind in ("none", "base", "../forest", "__init__"):
        flat.write(Flat(kind=kind, n_features=2, arrays={}, requests=(), forms={}), tmp_path / "m.flat")
        with pytest.raises(FlatError):
            base.load(tmp_path / "m.flat", most_bytes=1 << 20)
    arrays = {
        "nodes": np.array([[0, 5], [1, 1]], np.int32),
        "splits": np.zeros(2, np.float32),
        "values": np.zeros(2, np.float32),
        "trees": np.zeros((1, 3), np.int32),
        "base": np.zeros(1, np.float32),
    }
    wrong = Flat(
        kind="forest", n_features=2, arrays=arrays, numbers={"link": "identity"}, requests=(), forms=FORMS
    )
    flat.write(wrong, tmp_path / "m.flat")
    with pytest.raises(FlatError, match="forest"):
        base.load(tmp_path / "m.flat", most_bytes=1 << 20)
