"""Predictors of one image a request."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from clary.algorithms._vision import images
from clary.algorithms._vision.declared import PICTURES
from clary.algorithms._vision.images import PictureError
from clary.algorithms.base import Answer, Refusal
from clary.toolkit.formats.base import MediaType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.algorithms.base import Question

JSON, JSONLINES = "application/json", "application/jsonlines"
_LINES = (JSONLINES, "application/x-jsonlines", "application/json-lines")


class PicturePredictor(ABC):
    """A loaded network that answers images; an algorithm says what it sees.

    Promises
    --------
    - Images are answered one by one: what one says depends on no other, to the bit.
    """

    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)

    def __init__(self, environ: Mapping[str, str], n_channels: int = 3) -> None:
        self._default = environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or self.answer_types[0]
        self._n_channels = n_channels

    @abstractmethod
    def answer(self, picture: Any, accept: str) -> Answer:
        """Return what the network says of a decoded picture."""

    def predict_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, in order."""
        answers = []
        with torch.inference_mode():
            for question in questions:
                try:
                    answers.append(self._answered(question))
                except Refusal as refusal:
                    answers.append(refusal.answer())
        return answers

    def _answered(self, question: Question) -> Answer:
        if not question.body:
            return Answer(b"", "", 204)
        name = MediaType.parse(question.content_type).name
        if name and name not in PICTURES:
            raise Refusal(
                415, f"{question.content_type} is not an accepted ContentType: {', '.join(PICTURES)}."
            )
        accept = self._accepted(question.accept)
        try:
            picture = images.decode(question.body, self._n_channels)
        except PictureError as error:
            raise Refusal(400, f"unable to evaluate payload provided: {error}") from error
        return self.answer(picture, accept)

    def _accepted(self, accept: str) -> str:
        for member in accept.split(","):
            name = MediaType.parse(member).name
            if name in {"", "*/*"}:
                return self._accepted(self._default) if accept != self._default else self.answer_types[0]
            name = JSONLINES if name in _LINES else name
            if name in self.answer_types:
                return name
        raise Refusal(
            406, f"Accept type {accept} is not supported. Please use {', '.join(self.answer_types)}."
        )


def listed(values: list[Any], accept: str, *, is_bare: bool) -> Answer:
    """Return a prediction as JSON, bare or under its name, or as a line of JSON."""
    document: Any = values if is_bare and accept == JSON else {"prediction": values}
    return Answer(json.dumps(document).encode() + (b"\n" if accept == JSONLINES else b""), accept)
