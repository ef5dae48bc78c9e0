"""Prediction: the likeliest target of every source.

Source: developer guide, "Sequence-to-Sequence Algorithm", inference; its example notebook, for records.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from clary.algorithms import _artifact, _torch
from clary.algorithms._answers import JSON, JSONLINES, RECORDIO, accepted
from clary.algorithms._instances import documents, refused
from clary.algorithms.base import Answer, Question, Refusal
from clary.algorithms.seq2seq import _pairs
from clary.algorithms.seq2seq._beam import Translation, translate
from clary.algorithms.seq2seq._network import Network, Shape
from clary.algorithms.seq2seq._pairs import END, TARGET, UNKNOWN
from clary.toolkit.formats import recordio_protobuf
from clary.toolkit.formats.base import FormatError, MediaType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Asked(NamedTuple):
    """One sequence of a request."""

    tokens: tuple[int, ...]
    has_attention: bool = False


def load(model_dir: Path, environ: Mapping[str, str]) -> TranslationPredictor:
    """Load the network; CustomerError where there is none, or its weights do not fit."""
    arrays = _artifact.load(_artifact.find(model_dir), ("shape", "source_words", "target_words"))
    network = Network(Shape.read(str(arrays["shape"])))
    _torch.restore(network, arrays)
    return TranslationPredictor(network, arrays["source_words"].tolist(), arrays["target_words"].tolist())


class TranslationPredictor:
    """A loaded network that answers requests."""

    def __init__(self, network: Network, source_words: list[str], target_words: list[str]) -> None:
        self._network = network
        self._tokens = {word: token for token, word in enumerate(source_words)}
        self._words = target_words

    def predict_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, in order; sources of all of them follow their beams together."""
        answers = [Answer(b"", "", 204)] * len(questions)
        asked: list[tuple[int, str, list[Asked]]] = []
        for place, question in enumerate(questions):
            if not question.body:
                continue
            try:
                name = _named(question)
                _accept(question, name)
                asked.append((place, name, self._read(question, name)))
            except Refusal as refusal:
                answers[place] = refusal.answer()
        found = self._translated([one for _, _, several in asked for one in several])
        start = 0
        for place, name, several in asked:
            part = list(zip(several, found[start : start + len(several)], strict=True))
            start += len(several)
            answers[place] = Answer(self._spelled(part, name), name)
        return answers

    def _translated(self, asked: Sequence[Asked]) -> list[Translation]:
        found: dict[int, Translation] = {}
        for has_attention in (False, True):
            places = [place for place, one in enumerate(asked) if one.has_attention == has_attention]
            sources = [asked[place].tokens for place in places]
            beam = self._network.shape.beam_size
            several = translate(self._network, sources, beam_size=beam, has_attention=has_attention)
            found |= zip(places, several, strict=True)
        return [found[place] for place in range(len(asked))]

    def _read(self, question: Question, name: str) -> list[Asked]:
        if name == RECORDIO:
            try:
                found = _pairs.sources(question.body, self._network.shape.n_source)
            except FormatError as error:
                raise refused(str(error)) from error
            if not found:
                raise refused("the body has no records")
            return [Asked(each) for each in found]
        member = "data" if name == JSON else "source"
        return [
            self._asked(place, each, member) for place, each in enumerate(documents(question, name) or [])
        ]

    def _asked(self, place: int, instance: Any, member: str) -> Asked:
        text = instance.get(member) if isinstance(instance, dict) else None
        if not isinstance(text, str):
            raise refused(f'instance {place} must be {{"{member}": "words with blanks between"}}')
        configuration = instance.get("configuration") or {}
        if not isinstance(configuration, dict) or configuration.keys() - {"attention_matrix"}:
            raise refused(f"configuration of instance {place} may have attention_matrix alone")
        wanted = str(configuration.get("attention_matrix", "false")).lower()
        if wanted not in {"true", "false"}:
            raise refused(f"attention_matrix of instance {place} is {wanted}, not one of true, false")
        tokens = tuple(self._tokens.get(word, UNKNOWN) for word in text.split())
        return Asked(tokens, wanted == "true")

    def _spelled(self, found: Sequence[tuple[Asked, Translation]], name: str) -> bytes:
        if name == RECORDIO:
            return _pairs.written([{TARGET: each.tokens} for _, each in found])
        shown: list[dict[str, Any]] = []
        for asked, each in found:
            one: dict[str, Any] = {
                "target": " ".join(self._words[token] for token in each.tokens if token != END)
            }
            if asked.has_attention:
                one["matrix"] = each.attention
            shown.append(one)
        if name == JSON:
            return json.dumps({"predictions": shown}).encode()
        return "".join(f"{json.dumps(each)}\n" for each in shown).encode()


def _named(question: Question) -> str:
    """Return which of three a body is; Refusal 415 where it is none."""
    name = MediaType.parse(question.content_type).name or JSON
    if name == JSON:
        return JSON
    if name in recordio_protobuf.CONTENT_TYPES:
        return RECORDIO
    if name in {JSONLINES, "application/jsonlines", "application/x-jsonlines", "jsonlines"}:
        return JSONLINES
    raise Refusal(
        415, f"{question.content_type} is not an accepted ContentType: {JSON}, {JSONLINES}, {RECORDIO}."
    )


def _accept(question: Question, name: str) -> None:
    """Refuse, with 406, an answer of another form than the question has."""
    if accepted(question.accept, name)[0] != name:
        raise Refusal(406, f"Accept type {question.accept} is not supported with {name}: use the same.")
