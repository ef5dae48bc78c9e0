"""Prediction: vectors of words, or labels of texts, of our models and of fastText's own.

Source: developer guide, "Model Artifacts and Inference" of BlazingText; fastText, `FastText::predict`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._instances import documents, refused
from clary.algorithms.base import Answer, Refusal
from clary.algorithms.blazingtext import _fasttext
from clary.algorithms.blazingtext._corpus import END_OF_LINE
from clary.algorithms.blazingtext._texts import LABEL
from clary.algorithms.blazingtext.fit import TEXTS_FILE, WORDS_FILE
from clary.kernel.errors import CustomerError
from clary.toolkit.formats import jsonlines
from clary.toolkit.formats.base import MediaType
from clary.toolkit.kernels.tokens import hashed, pieces, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from clary.algorithms.base import Question
    from clary.algorithms.blazingtext._fasttext import FastText

JSON, JSONLINES = "application/json", "application/jsonlines"
_NO_CONTENT = Answer(b"", "", 204)


def load(model_dir: Path, environ: Mapping[str, str]) -> TextPredictor:
    """Load `model.bin`, `vectors.bin`, or the one `.bin` that there is, of ours or of fastText.

    Raises
    ------
    CustomerError
        There is none, or it cannot be read.
    """
    named = [model_dir / name for name in (TEXTS_FILE, WORDS_FILE) if (model_dir / name).is_file()]
    found = named or sorted(model_dir.glob("*.bin"))
    if not found or (not named and len(found) > 1):
        raise CustomerError(
            f"Unable to load model: there is no file {TEXTS_FILE} or {WORDS_FILE} in {model_dir.name}"
        )
    return TextPredictor(_fasttext.read(found[0]))


class TextPredictor:
    """A loaded model that answers words, or texts."""

    def __init__(self, model: FastText) -> None:
        self._model = model
        self._places = {word: place for place, word in enumerate(model.words)}
        if len(self._places) < len(model.words):
            raise CustomerError("Unable to load model: it has a word twice")
        self._is_classifier = model.arguments["model"] == _fasttext.SUPERVISED
        kind = np.float64 if self._is_classifier else np.float32
        self._ins, self._outs = np.asarray(model.ins), np.asarray(model.outs, kind)
        self._chances = _chances_of(model)

    def predict_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, in order, in its own content type, whatever it accepts."""
        answers = []
        for question in questions:
            try:
                answers.append(self._answer(question) if question.body else _NO_CONTENT)
            except Refusal as refusal:
                answers.append(refusal.answer())
        return answers

    def _answer(self, question: Question) -> Answer:
        name = MediaType.parse(question.content_type).name or JSON
        found = documents(question, name)
        if found is None:
            raise Refusal(
                415, f"{question.content_type} is not an accepted ContentType: {JSON}, {JSONLINES}."
            )
        if name in jsonlines.CONTENT_TYPES:
            asked = [self._line(place, each) for place, each in enumerate(found)]
            return Answer(jsonlines.encode([self._say(*each) for each in asked]), JSONLINES)
        configuration = json.loads(question.body).get("configuration") or {}
        if not isinstance(configuration, dict):
            raise refused('configuration must be an object: {"k": 2}')
        k = _top(configuration.get("k", 1))
        asked = [(self._text(place, each), k) for place, each in enumerate(found)]
        return Answer(json.dumps([self._say(*each) for each in asked]).encode(), JSON)

    def _line(self, place: int, document: Any) -> tuple[str, int]:
        if not isinstance(document, dict) or "source" not in document:
            raise refused(f'line {place + 1} must be {{"source": "text"}}')
        return self._text(place, document["source"]), _top(document.get("k", 1))

    def _text(self, place: int, text: Any) -> str:
        if not isinstance(text, str):
            raise refused(f"instance {place} must be a text, not {json.dumps(text)[:80]}")
        return text

    def _say(self, text: str, k: int) -> dict[str, Any]:
        if not self._is_classifier:
            return {"vector": self.vector(text).astype(np.float32).tolist(), "word": text}
        chances = self.chances(text)
        order = np.argsort(-chances, kind="stable")[:k]
        return {
            "prob": chances[order].astype(np.float32).tolist(),
            "label": [self._model.labels[place].decode("utf-8", "replace") for place in order],
        }

    def vector(self, text: str) -> NDArray[np.float64]:
        """Return a word's vector: by its pieces, where the model has them; zeros where it knows nothing."""
        rows = self._rows_of(text.encode())
        if not rows:
            return np.zeros(self._ins.shape[1])
        return np.asarray(self._ins[rows].astype(np.float64).mean(axis=0))

    def _rows_of(self, word: bytes) -> list[int]:
        place = self._places.get(word)
        rows = [] if place is None else [place]
        given = self._model.arguments
        if given["maxn"] > 0 and word != END_OF_LINE:
            found = pieces(word, given["minn"], given["maxn"], given["bucket"])
            rows += [len(self._model.words) + each for each in found]
        return rows

    def chances(self, text: str) -> NDArray[np.float64]:
        """Return the chance of each label of a text."""
        words = [word for word in text.encode().split() if not word.startswith(LABEL)] + [END_OF_LINE]
        rows = [row for word in words for row in self._rows_of(word)]
        given = self._model.arguments
        if given["word_ngrams"] > 1:
            codes = np.array([hashed(word) for word in words], np.uint32)
            found = runs(codes, given["word_ngrams"], given["bucket"]) + len(self._model.words)
            rows += found.tolist()
        if not rows:
            return np.empty(0)
        hidden = self._ins[rows].astype(np.float64).mean(axis=0)
        return self._chances(self._outs @ hidden)


def _top(given: Any) -> int:
    if type(given) is not int or given < 1:
        raise refused(f"k must be an integer of 1 or more, not {json.dumps(given)[:40]}")
    return given


def _chances_of(model: FastText) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return what makes chances of scores, as the model's loss has it."""
    loss = model.arguments["loss"]
    if loss == _fasttext.SOFTMAX:
        return _softmax
    if loss == _fasttext.TREE and model.labels:
        paths = _tree(model.label_counts.tolist())
        return lambda scores: np.array(
            [np.prod(_logistic(scores[nodes] * signs)) for nodes, signs in paths], np.float64
        )
    return _logistic


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(scores - scores.max())
    return np.asarray(raised / raised.sum())


def _logistic(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (np.tanh(0.5 * scores) + 1))


def _tree(counts: list[int]) -> list[tuple[list[int], NDArray[np.float64]]]:
    """Return each label's way through the tree of labels: inner nodes, and the sign of each turn.

    Source: fastText, `HierarchicalSoftmaxLoss::buildTree`; counts fall.
    """
    n = len(counts)
    weights = counts + [10**15] * (n - 1)
    parents, is_right = [-1] * (2 * n - 1), [False] * (2 * n - 1)
    leaf, node = n - 1, n
    for made in range(n, 2 * n - 1):
        chosen = []
        for _ in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                chosen.append(leaf)
                leaf -= 1
            else:
                chosen.append(node)
                node += 1
        weights[made] = weights[chosen[0]] + weights[chosen[1]]
        parents[chosen[0]] = parents[chosen[1]] = made
        is_right[chosen[1]] = True
    ways = []
    for label in range(n):
        nodes, signs, at = [], [], label
        while parents[at] != -1:
            nodes.append(parents[at] - n)
            signs.append(1.0 if is_right[at] else -1.0)
            at = parents[at]
        ways.append((nodes, np.array(signs)))
    return ways
