"""A row of containers that is asked in blocks writes what its containers one by one would have written."""

import threading
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.algorithms import base
from clary.algorithms._transform import Scoring
from clary.algorithms.base import Answer, Question
from clary.serving.blocks import Columns, Row
from clary.serving.handlers.base import GoneError
from clary.serving.handlers.builtin import Builtin
from clary.serving.patience import NO_ANSWER, Patient
from clary.serving.pipeline import Pipeline, Stage
from clary.toolkit.transform import columns, split
from clary.toolkit.transform.records import Processing, assembled


class Doubling:
    """A script: twice each field, the lines' ends as they were."""

    is_concurrent = False

    def __init__(self, *, fails: int = 0) -> None:
        self.n_asked = 0
        self._fails = fails

    def answer_many(self, questions: Any) -> list[Answer]:
        return [self.answer(question) for question in questions]

    def answer(self, question: Question) -> Answer:
        self.n_asked += 1
        if self.n_asked <= self._fails:
            return Answer(b"not yet", "text/plain", 500)
        rows = [line.split(b",") for line in question.body.split()]
        text = "\n".join(",".join(str(2 * float(field)) for field in row) for row in rows)
        return Answer(text.encode(), "text/csv")


@pytest.fixture(scope="module")
def builtin(tmp_path_factory: pytest.TempPathFactory) -> Builtin:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 3))
    matrix = xgboost.DMatrix(rows, rows[:, 0] + rows[:, 1] > 0)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 5)
    folder = tmp_path_factory.mktemp("model")
    booster.save_model(folder / "model.ubj")
    (folder / "model.ubj").rename(folder / "xgboost-model")
    environ = {"SAGEMAKER_BATCH": "True", "CLARY_IMAGE_VERSION": "1.7-1"}
    return Builtin(base.find("xgboost").load(folder, environ))


def row(*handlers: Any) -> Row:
    return Row(Pipeline([Stage.of(f"c{n}", each) for n, each in enumerate(handlers, 1)]))


@settings(max_examples=20, deadline=None)
@given(
    n_rows=st.integers(1, 40),
    limit=st.sampled_from([80, 200, 4000]),
    strategy=st.sampled_from([split.MULTI, split.SINGLE]),
    join=st.booleans(),
)
def test_blocks_are_written_as_container_after_container_would(
    builtin: Builtin, n_rows: int, limit: int, strategy: str, join: bool
) -> None:
    rows = np.random.default_rng(n_rows).normal(size=(n_rows, 3)).round(3)
    body = b"".join(b"%g,%g,%g\n" % tuple(each) for each in rows.tolist())
    processing = Processing.of(
        {"JoinSource": "Input"} if join else {}, content_type="text/csv", split=split.LINE
    )
    known, doubling = [], Doubling()
    for payload in split.payloads([body], split=split.LINE, strategy=strategy, limit_bytes=limit):
        between = doubling.answer(Question(body=processing.ask(payload), content_type="text/csv"))
        (answer,) = builtin.answer_many([Question(body=between.body, content_type=between.content_type)])
        known.append(assembled(processing.answer(payload, answer.body), "Line"))
    scoring = Scoring(
        row(Doubling(), Columns(builtin)),
        processing,
        content_type="text/csv",
        assemble_with="Line",
        is_single=strategy == split.SINGLE,
    )
    found = [
        scoring.answer(memoryview(each))
        for each in split.payloads([body], split=split.LINE, limit_bytes=limit)
    ]
    assert {status for status, _ in found} == {200}
    assert b"".join(text for _, text in found) == b"".join(known)


def test_a_built_in_stage_reads_large_csv_by_columns_and_says_the_same(builtin: Builtin) -> None:
    rows = np.random.default_rng(1).normal(size=(4000, 3))
    body = b"".join(b"%.9g,%.9g,%.9g\n" % tuple(each) for each in rows.tolist())
    assert len(body) > columns.WORTH_BYTES
    question = Question(body=body, content_type="text/csv")
    stage = Columns(builtin)
    for _ in range(2):  # checked against the model's own reading, then trusted
        assert stage.answer_many([question])[0].body == builtin.answer_many([question])[0].body


def test_a_refusal_names_its_container(builtin: Builtin) -> None:
    (answer,) = row(Doubling(), builtin).predict_many([Question(body=b"1,2\n", content_type="text/csv")])
    assert answer.status == 400
    assert answer.body.startswith(b"c2: ")


def test_a_process_that_went_away_has_not_answered() -> None:
    class Gone(Doubling):
        def answer_many(self, questions: Any) -> list[Answer]:
            raise GoneError("the next container went away")

    answers = row(Gone()).predict_many([Question(body=b"1"), Question(body=b"2")])
    assert [answer.status for answer in answers] == [NO_ANSWER, NO_ANSWER]


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clary.serving.patience._PAUSE_S", 0.0)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize(("fails", "retries", "status"), [(2, 2, 200), (2, 1, 500), (0, 3, 200)])
def test_a_script_that_fails_is_asked_again_as_often_as_allowed(
    fails: int, retries: int, status: int
) -> None:
    script = Doubling(fails=fails)
    (answer,) = Patient(script, retries=retries, timeout_s=30).answer_many([Question(body=b"1\n")])
    assert answer.status == status
    assert script.n_asked == min(fails, retries) + 1


@pytest.mark.usefixtures("quickly")
def test_only_the_questions_that_failed_are_asked_again() -> None:
    script = Doubling(fails=1)
    answers = Patient(script, retries=1, timeout_s=30).answer_many([Question(body=b"1"), Question(body=b"2")])
    assert [answer.body for answer in answers] == [b"2.0", b"4.0"]
    assert script.n_asked == 3


def test_a_script_that_is_silent_has_not_answered() -> None:
    over = threading.Event()

    class Silent(Doubling):
        def answer_many(self, questions: Any) -> list[Answer]:
            over.wait()
            return super().answer_many(questions)

    try:
        (answer,) = Patient(Silent(), retries=0, timeout_s=0.01).answer_many([Question(body=b"1")])
    finally:
        over.set()
    assert (answer.status, answer.body) == (NO_ANSWER, b"timed out")
