"""Batch transform through a row of containers: blocks of shared memory in, what is written for them out.

    agent ══slots══▶ filter ─▶ stage 1 ─▶ stage 2 ─▶ join ══▶ slot
                                             ╚══frames══▶ the next process, where a second script begins

One program of `algorithms._transform`, whose model is the row. A script is asked one block at a time; what
is before and behind it works on other blocks meanwhile.
"""

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from clary.algorithms._transform import Columnar, Scoring, is_good, serve
from clary.algorithms.base import Answer, Question
from clary.serving import pipeline, replica
from clary.serving.handlers.base import GoneError, Handler
from clary.serving.handlers.builtin import Builtin
from clary.serving.patience import NO_ANSWER
from clary.serving.pipeline import Pipeline
from clary.toolkit.transform.blocks import Line


def main(arguments: Mapping[str, Any]) -> int:
    """Load the stages, then answer on `arguments["socket"]` until the agent hangs up.

    Parameters
    ----------
    arguments : mapping
        Those of `clary.serving.pipeline:main` and of `clary.algorithms._transform:main` together.
    """
    stages = pipeline.loaded(arguments, _read_in_columns)
    if stages is None:
        return replica.NOT_LOADED
    scoring = Scoring.of(Row(Pipeline(stages, pipeline.following(arguments))), arguments)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(arguments["socket"])
        serve(Line(connection), scoring, threads=int(arguments["threads"]))
    return 0


class Row:
    """A row of containers as one model; what goes wrong says where."""

    def __init__(self, row: Pipeline) -> None:
        self._row = row

    def predict_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, in order."""
        try:
            answers = self._row.answer_many(questions)
        except GoneError as error:
            return [Answer(str(error).encode(), "text/plain", NO_ANSWER)] * len(questions)
        return [answer if is_good(answer) else _named(answer) for answer in answers]


class Columns:
    """A built-in model behind a container that says CSV: read by columns, where that is the same."""

    is_concurrent = True

    def __init__(self, handler: Builtin) -> None:
        self._handler = handler
        self._ways: dict[str, Columnar | None] = {}

    def answer_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, in order."""
        content_type = questions[0].content_type
        if content_type not in self._ways:
            self._ways[content_type] = Columnar.of(self._handler.predictor, content_type)
        way = self._ways[content_type]
        if way is not None and all(each.content_type == content_type for each in questions):
            answers = way.answers(questions)
            if answers is not None:
                return answers
        return self._handler.answer_many(questions)


def _read_in_columns(handler: Handler) -> Handler:
    return Columns(handler) if isinstance(handler, Builtin) else handler


def _named(answer: Answer) -> Answer:
    told = answer.told if isinstance(answer, pipeline.Told) else {}
    text = f"{told['container']}: ".encode() + answer.body if "container" in told else answer.body
    return Answer(text, answer.content_type, answer.status)
