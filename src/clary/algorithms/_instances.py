"""Predictors of instances that are no rows of numbers: pairs of names, sequences of tokens.

body ──read──▶ kind, instances ──score──▶ columns ──▶ body
└── of all requests of one kind: one call ──┘
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from clary.algorithms._answers import JSON, JSONLINES, Columns, accepted, encode
from clary.algorithms.base import Answer, Refusal
from clary.toolkit.formats import jsonlines
from clary.toolkit.formats.base import FormatError, MediaType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.algorithms.base import Question

_REFUSED = "unable to evaluate payload provided"
_NO_CONTENT = Answer(b"", "", 204)


class InstancePredictor(ABC):
    """A loaded model that answers instances; an algorithm reads and scores them.

    Promises
    --------
    - Instances of several requests, scored together, say what each says alone.
    - Methods may be called from several threads at once.
    """

    verbose: ClassVar[tuple[str, ...]] = ()
    """Members of an answer that only `verbose=true` asks for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        default = environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or JSON
        self._default = JSONLINES if MediaType.parse(default).name == JSONLINES else JSON

    @abstractmethod
    def read(self, question: Question) -> tuple[str, list[Any]]:
        """Return the kind of a request and its instances.

        Raises
        ------
        Refusal
            The content type is none of ours, or the body is not of it.
        """

    @abstractmethod
    def score(self, kind: str, instances: Sequence[Any]) -> Columns:
        """Return the members of the answers to instances of one kind."""

    def predict_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, in order."""
        answers: list[Answer] = [_NO_CONTENT] * len(questions)
        kinds: dict[str, list[tuple[int, list[Any], tuple[str, bool]]]] = {}
        for place, question in enumerate(questions):
            if not question.body:
                continue
            try:
                wanted = self._accepted(question)
                kind, instances = self.read(question)
                kinds.setdefault(kind, []).append((place, instances, wanted))
            except Refusal as refusal:
                answers[place] = refusal.answer()
        for kind, asked in kinds.items():
            columns = self.score(kind, [each for _, instances, _ in asked for each in instances])
            start = 0
            for place, instances, (content_type, is_verbose) in asked:
                part = slice(start, start := start + len(instances))
                shown = {
                    name: values[part]
                    for name, values in columns.items()
                    if is_verbose or name not in self.verbose
                }
                answers[place] = Answer(encode(shown, content_type), content_type)
        return answers

    def _accepted(self, question: Question) -> tuple[str, bool]:
        content_type, is_verbose = accepted(question.accept, self._default)
        if content_type not in {JSON, JSONLINES}:
            raise Refusal(
                406, f"Accept type {question.accept} is not supported. Please use {JSON} or {JSONLINES}."
            )
        return content_type, is_verbose


def refused(what: str) -> Refusal:
    """Return the answer to a body that is not what its content type says."""
    return Refusal(400, f"{_REFUSED}: {what}")


def documents(question: Question, name: str) -> list[Any] | None:
    """Return the instances of a JSON or JSON Lines body; None where `name` is another content type.

    Raises
    ------
    Refusal
        The body is no JSON, or has no instances.
    """
    try:
        if name == JSON:
            document = json.loads(question.body)
            found = document.get("instances") if isinstance(document, dict) else None
        elif name in jsonlines.CONTENT_TYPES:
            found = jsonlines.decode(question.body)
        else:
            return None
    except (ValueError, FormatError) as error:
        raise refused(f"the body is not {name}: {error}") from error
    if not isinstance(found, list) or not found:
        raise refused('the body must be {"instances": [...]}, or a JSON document a line, with one at least')
    return found
