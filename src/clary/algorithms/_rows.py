"""Predictors of rows of numbers: many requests in one call, a request in the edge, a file in blocks.

    body ──decode──▶ rows ──score──▶ scores ──encode──▶ body
                       └── of several requests, or of a block of a file: one call ──┘

The three parts are public, so that whoever has rows already (a batch transform, the next model of a pipeline)
skips the parsing, and whoever needs no text skips the spelling.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from clary.algorithms.base import Answer, Question, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.toolkit.flat import Flat
    from clary.toolkit.formats.base import Matrix

Scores: TypeAlias = "np.ndarray[Any, Any]"
"""Shape (n_rows, ...): what a model says of each row; the algorithm knows its columns."""

_NO_CONTENT = Answer(b"", "", 204)


class RowPredictor(ABC):
    """A loaded model of rows; an algorithm fills in the three parts.

    Promises
    --------
    - `encode(score(decode(question)), question)` is what `predict_many([question])` answers.
    - `score` of many rows says of each, bit by bit, what `score` of that row alone says.
    - Methods may be called from several threads at once.
    """

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Columns of a row."""

    @abstractmethod
    def decode(self, question: Question) -> Matrix:
        """Read a request.

        Returns
        -------
        ndarray or CSR matrix, shape (n_rows, n_features)
            Float32; of an ndarray: C order, NaN where missing.

        Raises
        ------
        Refusal
            The content type is none of ours, the body is not of it, or the number of features is another.
        """

    @abstractmethod
    def score(self, rows: Matrix) -> Scores:
        """Score rows as `decode` returns them.

        Raises
        ------
        Refusal
            The model cannot take these rows.
        """

    @abstractmethod
    def encode(self, scores: Scores, question: Question) -> Answer:
        """Spell scores as `question` accepts them.

        Raises
        ------
        Refusal
            406: nothing it accepts is ours.
        """

    def flat(self) -> Flat | None:
        """Return the model as plain arrays, for whoever answers in place; None where it has no such form.

        What is answered from it must be, bit by bit, what `predict_many` answers.
        """
        return None

    def predict_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question; the dense rows of all of them are scored in one call."""
        answers: list[Answer] = [_NO_CONTENT] * len(questions)
        dense, places = [], []
        for place, question in enumerate(questions):
            if not question.body:
                continue
            try:
                rows = self.decode(question)
                if isinstance(rows, np.ndarray) and len(questions) > 1:
                    dense.append(rows)
                    places.append(place)
                else:
                    answers[place] = self.encode(self.score(rows), question)
            except Refusal as refusal:
                answers[place] = refusal.answer()
        if dense:
            self._answer_together(dense, places, questions, answers)
        return answers

    def _answer_together(
        self, dense: list[Any], places: list[int], questions: Sequence[Question], answers: list[Answer]
    ) -> None:
        try:
            scores = self.score(np.concatenate(dense) if len(dense) > 1 else dense[0])
        except Refusal as refusal:
            for place in places:
                answers[place] = refusal.answer()
            return
        start = 0
        for rows, place in zip(dense, places, strict=True):
            end = start + rows.shape[0]
            try:
                answers[place] = self.encode(scores[start:end], questions[place])
            except Refusal as refusal:
                answers[place] = refusal.answer()
            start = end
