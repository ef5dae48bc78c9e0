"""Predictors of one image a request."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch

from clary.algorithms import _torch
from clary.algorithms._vision import images, weights
from clary.algorithms._vision.declared import PICTURES
from clary.algorithms._vision.images import PictureError
from clary.algorithms.base import Answer, Refusal
from clary.kernel.errors import CustomerError
from clary.toolkit.formats.base import MediaType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from clary.algorithms.base import Question

JSON, JSONLINES = "application/json", "application/jsonlines"
P = TypeVar("P", bound="PicturePredictor")
_LINES = (JSONLINES, "application/x-jsonlines", "application/json-lines")


class PicturePredictor(ABC):
    """A loaded network that answers images; an algorithm says what it sees.

    Promises
    --------
    - Images are answered one by one: what one says depends on no other, to the bit.
    """

    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)

    def __init__(
        self, facts: Mapping[str, Any], network: torch.nn.Module, environ: Mapping[str, str]
    ) -> None:
        self._facts, self._network = facts, network
        self._device = next(network.parameters()).device
        self._default = environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or self.answer_types[0]

    @property
    def n_channels(self) -> int:
        """Channels of pictures that the network sees."""
        return 3

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
            picture = images.decode(question.body, self.n_channels)
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


def loaded(
    model_dir: Path,
    name: str,
    build: Callable[[Mapping[str, Any]], torch.nn.Module],
    predictor: Callable[[Mapping[str, Any], torch.nn.Module, Mapping[str, str]], P],
    environ: Mapping[str, str],
) -> P:
    """Load a network that `build` makes of a model's facts.

    Raises
    ------
    CustomerError
        There is none, or its weights are not what its description says.
    """
    facts = weights.facts_of(model_dir, name)
    try:
        return predictor(facts, _torch.restore(build(facts), weights.arrays_of(model_dir, facts)), environ)
    except (KeyError, TypeError, ValueError) as error:
        raise CustomerError(f"Unable to load model: {name}.json cannot be read: {error}") from error


def listed(values: list[Any], accept: str, *, is_bare: bool) -> Answer:
    """Return a prediction as JSON, bare or under its name, or as a line of JSON."""
    document: Any = values if is_bare and accept == JSON else {"prediction": values}
    return Answer(json.dumps(document).encode() + (b"\n" if accept == JSONLINES else b""), accept)
