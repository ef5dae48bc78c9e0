"""Labels of texts: training by words and runs of words, early stopping, fastText's model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms.blazingtext import _fasttext
from clary.algorithms.blazingtext._fasttext import FastText
from clary.algorithms.blazingtext._turns import SEED, Turns
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms.blazingtext._corpus import Texts, Vocabulary
    from clary.toolkit.hyperparameters import Params

PARTS = 4
"""Reports of an epoch."""


class Classifier:
    """Rows of words, of runs of words and of labels while they are learned."""

    def __init__(self, params: Params, texts: Texts, words: Vocabulary, labels: Vocabulary) -> None:
        from clary.toolkit.kernels import _labels  # noqa: PLC0415 - an extra

        self._kernel = _labels
        self._params, self._texts = params, texts
        self._words, self._labels = words, labels
        longest = params.int("word_ngrams")
        self._n_buckets = params.int("buckets") if longest > 1 else 0
        self._sizes = (len(words.words), max(1, self._n_buckets), longest)
        width, n_rows = params.int("vector_dim"), len(words.words) + self._n_buckets
        marks = np.zeros(n_rows, np.uint8)
        _labels.touch(texts.tokens, texts.codes, texts.starts, *self._sizes, marks)
        self._rows = np.flatnonzero(marks)
        self.ins, draw = np.zeros((n_rows, width), np.float32), np.random.default_rng(SEED)
        for start in range(0, len(self._rows), _fasttext.CHUNK_ROWS):
            part = self._rows[start : start + _fasttext.CHUNK_ROWS]
            drawn = draw.random((len(part), width), np.float32)
            self.ins[part] = (2 * drawn - 1) / np.float32(width)
        self.outs = np.zeros((len(labels.words), width), np.float32)

    def learn(self, turns: Turns, validation: Texts | None) -> int:
        """Learn until epochs are over or validation no longer gets better; return the epochs."""
        params, epochs = self._params, self._params.int("epochs")
        stops = params.is_true("early_stopping") and validation is not None
        places = np.arange(len(self._texts), dtype=np.int64)
        best, kept, n_stale = -1.0, None, 0
        for epoch in range(epochs):
            for _ in turns.run(epoch, places, min(PARTS, max(1, len(places) // 1000)), self._step):
                pass
            if not self._is_finite():
                raise CustomerError(
                    f"Training diverged: rows are no numbers with learning_rate {params['learning_rate']}; "
                    "choose a smaller one"
                )
            if not stops or epoch + 1 < params.int("min_epochs"):
                continue
            assert validation is not None
            turns.log(f"-------------- End of epoch: {epoch + 1}")
            accuracy, _ = self.judge(validation)
            turns.log(f"Validation accuracy: {accuracy:g}")
            n_stale += 1
            if accuracy > best:
                turns.log("Validation accuracy improved! Storing best weights...")
                best, kept, n_stale = accuracy, self._kept(), 0
            elif n_stale >= params.int("patience"):
                turns.log(
                    f"Validation accuracy has not improved for last {n_stale} epochs. Stopping training..."
                )
                epochs = epoch + 1
                break
        if kept is not None:
            self._recall(kept)
        return epochs

    def _is_finite(self) -> bool:
        return bool(np.isfinite(self.outs).all())

    def _kept(self) -> tuple[Any, Any]:
        return self.ins[self._rows], self.outs.copy()

    def _recall(self, kept: tuple[Any, Any]) -> None:
        self.ins[self._rows], self.outs = kept

    def _step(self, places: NDArray[np.int64], rate: Any, last_rate: Any, seed: Any) -> None:
        texts = self._texts
        given = (texts.tokens, texts.codes, texts.starts, texts.labels, texts.firsts, places)
        self._kernel.learn(*given, *self._sizes, self.ins, self.outs, rate, last_rate, seed)

    def judge(self, texts: Texts) -> tuple[float, int]:
        """Return the share of texts whose likeliest label is theirs, and how many have labels."""
        given = (texts.tokens, texts.codes, texts.starts, texts.labels, texts.firsts)
        right, n_texts = self._kernel.judge(*given, *self._sizes, self.ins, self.outs)
        return right / max(1, n_texts), n_texts

    def as_fasttext(self, epochs: int) -> FastText:
        """Return the model as fastText keeps it."""
        params = self._params
        return FastText(
            arguments={
                "dim": params.int("vector_dim"),
                "epoch": epochs,
                "min_count": params.int("min_count"),
                "word_ngrams": params.int("word_ngrams"),
                "loss": _fasttext.SOFTMAX,
                "model": _fasttext.SUPERVISED,
                "bucket": self._n_buckets,
            },
            words=self._words.words,
            counts=self._words.counts,
            labels=self._labels.words,
            label_counts=self._labels.counts,
            n_tokens=int(self._words.counts.sum() + self._labels.counts.sum()),
            ins=self.ins,
            outs=self.outs,
        )
