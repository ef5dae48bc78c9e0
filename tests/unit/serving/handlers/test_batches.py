"""Calls that several requests share because the customer said so, with SAGEMAKER_TS_BATCH_SIZE."""

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clary.algorithms.base import Question
from clary.serving.handlers import script

COUNTING = """
class Model:
    calls = []

    def predict(self, rows):
        Model.calls.append(rows.shape)
        if rows.shape[-1] == 5:
            return rows.sum()  # one answer for all
        return rows.sum(axis=-1)

def model_fn(model_dir):
    return Model()
"""
NETWORK = """
import torch

def model_fn(model_dir):
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
"""


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "inference", None)


def loaded(tmp_path: Path, text: str, name: str = "mxnet", environ: Mapping[str, str] | None = None) -> Any:
    (tmp_path / "code").mkdir(exist_ok=True)
    (tmp_path / "code/inference.py").write_text(text)
    return script.load(name, tmp_path, environ or {})


def questions(*bodies: str) -> list[Question]:
    return [
        Question(body=each.encode(), content_type="text/csv", accept="application/json") for each in bodies
    ]


def said(answers: Any) -> list[Any]:
    return [json.loads(answer.body) for answer in answers]


def test_requests_share_calls_of_at_most_the_size_that_was_set(tmp_path: Path) -> None:
    handler = loaded(tmp_path, COUNTING, environ={"SAGEMAKER_TS_BATCH_SIZE": "4"})
    asked = questions(*(f"{n},1,0" for n in range(5)), "1,2,3\n4,5,6")
    assert said(handler.answer_many(asked)) == [1.0, 2.0, 3.0, 4.0, 5.0, [6.0, 15.0]]
    calls = type(handler._model).calls
    assert calls[0] == (4, 3)
    assert len(calls) == 3, "one for four rows, one for a row, one for a table"


def test_without_it_each_request_has_a_call_of_its_own(tmp_path: Path) -> None:
    handler = loaded(tmp_path, COUNTING)
    assert said(handler.answer_many(questions("1,1,0", "2,1,0"))) == [2.0, 3.0]
    assert type(handler._model).calls == [(3,), (3,)]


def test_a_model_that_answers_not_by_row_is_asked_alone(tmp_path: Path) -> None:
    handler = loaded(tmp_path, COUNTING, environ={"SAGEMAKER_TS_BATCH_SIZE": "8"})
    assert said(handler.answer_many(questions("1,1,1,1,1", "2,2,2,2,2"))) == [5.0, 10.0]


def test_a_request_that_cannot_be_read_is_its_own_fault_alone(tmp_path: Path) -> None:
    handler = loaded(tmp_path, COUNTING, environ={"SAGEMAKER_TS_BATCH_SIZE": "8"})
    bad = Question(body=b"<row/>", content_type="text/xml", accept="application/json")
    answers = handler.answer_many([*questions("1,1,0"), bad, *questions("2,1,0")])
    assert [answer.status for answer in answers] == [200, 415, 200]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="an extra")
def test_a_network_says_the_same_in_company_and_is_set_to_evaluate(tmp_path: Path) -> None:
    alone = loaded(tmp_path, NETWORK, "pytorch")
    shared = loaded(tmp_path, NETWORK, "pytorch", {"SAGEMAKER_TS_BATCH_SIZE": "16"})
    asked = questions("1,2,3", "4,5,6", "0,0,1")
    once = said(alone.answer_many(asked))
    for answers in (said(shared.answer_many(asked)), said(alone.answer_many(asked))):
        for answer, other in zip(answers, once, strict=True):
            assert answer == pytest.approx(other, rel=1e-5)
