"""Labels of texts on a GPU: mini-batches of texts, whose words and runs of words are numbered here.

texts ─▶ rows of words and runs (NumPy) ─▶ put ─▶ means, chances of labels, slopes ─▶ rows move
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms.blazingtext._classifier import Classifier
from clary.algorithms.blazingtext._device import MOST_CELLS, DeviceRows, batches, chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu
    from clary.algorithms.blazingtext._corpus import Texts, Vocabulary
    from clary.algorithms.blazingtext._turns import Turns
    from clary.toolkit.hyperparameters import Params

MOST_TEXTS, SHARE = 1 << 10, 0.01
"""Texts of a mini-batch: at most, and at most this share of all."""


@dataclass(frozen=True)
class Chunk:
    """Texts that have words and labels, one behind the other."""

    texts: NDArray[np.int64]
    rows: NDArray[np.int64]
    """Those of all texts."""
    starts: NDArray[np.int64]
    """Where each text's rows begin, and where the last one's end."""


@dataclass(frozen=True)
class Batch:
    """The rows of a mini-batch, on the device."""

    rows: Any
    owners: Any
    """Which text each row is of."""
    starts: Any
    """Where each text's rows begin, and where the last one's end."""
    lengths: Any
    """Rows of each text, as a column."""


class DeviceClassifier(Classifier):
    """Rows of words, runs and labels that are learned on a device."""

    def __init__(self, gpu: Gpu, params: Params, texts: Texts, words: Vocabulary, labels: Vocabulary) -> None:
        super().__init__(params, texts, words, labels)
        self._gpu, self._torch = gpu, gpu.torch
        self._size = max(1, min(MOST_TEXTS, int(SHARE * len(texts)), MOST_CELLS // len(labels.words)))
        self._most_rows = max(1, MOST_CELLS // self.ins.shape[1])
        self._moved = DeviceRows(gpu, self.ins), DeviceRows(gpu, self.outs)

    def learn(self, turns: Turns, validation: Texts | None) -> int:
        """Learn on the device; bring back what was learned."""
        epochs = super().learn(turns, validation)
        self.ins, self.outs = (self._gpu.take(each.values).copy() for each in self._moved)
        return epochs

    def _is_finite(self) -> bool:
        return bool(self._moved[1].values.isfinite().all())

    def _kept(self) -> tuple[Any, Any]:
        ins, outs = self._moved
        return ins.values[self._gpu.put(self._rows)], outs.values.clone()

    def _recall(self, kept: tuple[Any, Any]) -> None:
        ins, outs = self._moved
        ins.values[self._gpu.put(self._rows)], outs.values[:] = kept

    def _step(self, places: NDArray[np.int64], rate: Any, last_rate: Any, seed: Any) -> None:
        draw, texts, n_done = np.random.default_rng(seed), self._texts, 0
        for chunk in self._chunks(texts, places):
            firsts = texts.firsts[chunk.texts]
            labels = texts.labels[draw.integers(firsts, texts.firsts[chunk.texts + 1])].astype(np.int64)
            for first, last, batch in self._batches(chunk):
                share = (n_done + first) / len(places)
                self.move(batch, self._gpu.put(labels[first:last]), float(rate + (last_rate - rate) * share))
            n_done += len(chunk.texts)

    def move(self, batch: Batch, labels: Any, rate: float) -> None:
        """Take one step."""
        ins, outs = self._moved
        means = self._means(batch)
        off = -(means @ outs.values.T).softmax(1)
        off.scatter_add_(1, labels[:, None], self._torch.ones_like(off[:, :1]))
        slopes, their_slopes = off @ outs.values / batch.lengths, off.T @ means
        ins.add(batch.rows, slopes[batch.owners], self._torch.ones_like(batch.owners, dtype=off.dtype), rate)
        numbers = self._torch.arange(len(their_slopes), device=self._gpu.device)
        outs.add(numbers, their_slopes, off.new_full((len(numbers),), len(labels)), rate)

    def judge(self, texts: Texts) -> tuple[float, int]:
        """Return the share of texts whose likeliest label is theirs, and how many have labels."""
        right = n_texts = 0
        for chunk in self._chunks(texts, np.arange(len(texts), dtype=np.int64)):
            outs = self._moved[1].values
            found = [(self._means(batch) @ outs.T).argmax(1) for _, _, batch in self._batches(chunk)]
            best = self._gpu.take(self._torch.cat(found))
            firsts = texts.firsts[chunk.texts]
            n_own = texts.firsts[chunk.texts + 1] - firsts
            before = np.cumsum(n_own) - n_own
            own = texts.labels[np.repeat(firsts - before, n_own) + np.arange(n_own.sum())]
            right += int(np.logical_or.reduceat(own == np.repeat(best, n_own), before).sum())
            n_texts += len(chunk.texts)
        return right / max(1, n_texts), n_texts

    def _means(self, batch: Batch) -> Any:
        """Return the mean of each text's rows."""
        bag = self._torch.nn.functional.embedding_bag
        ins = self._moved[0].values
        return bag(batch.rows, ins, batch.starts, mode="sum", include_last_offset=True) / batch.lengths

    def _chunks(self, texts: Texts, places: NDArray[np.int64]) -> Iterator[Chunk]:
        """Yield texts with what they are made of: their known words, and buckets of runs of words."""
        n_words, n_buckets, longest = self._sizes
        for part, found, owners in chunks(texts.starts, places):
            words = texts.tokens[found].astype(np.int64)
            rows, of = [words[words >= 0]], [owners[words >= 0]]
            codes = texts.codes[found].view(np.int32).astype(np.int64).view(np.uint64)  # a hash with its sign
            runs = codes
            for n in range(1, longest):
                runs = runs[:-1] * self._kernel.SHIFT + codes[n:]
                is_one = owners[:-n] == owners[n:]
                rows.append((runs[is_one] % np.uint64(n_buckets)).astype(np.int64) + n_words)
                of.append(owners[n:][is_one])
            n_rows = np.bincount(np.concatenate(of), minlength=len(part))
            is_whole = (n_rows > 0) & (texts.firsts[part + 1] > texts.firsts[part])
            order = np.argsort(np.concatenate(of), kind="stable")
            own = np.concatenate(rows)[order][np.repeat(is_whole, n_rows)]
            if len(own):
                yield Chunk(part[is_whole], own, np.concatenate(([0], np.cumsum(n_rows[is_whole]))))

    def _batches(self, chunk: Chunk) -> Iterator[tuple[int, int, Batch]]:
        """Yield mini-batches, and which texts of a chunk they are."""
        for first, last in batches(chunk.starts, len(chunk.texts), self._size, self._most_rows):
            starts = chunk.starts[first : last + 1]
            rows, lengths = chunk.rows[starts[0] : starts[-1]], np.diff(starts)
            given = rows, np.repeat(np.arange(last - first), lengths), starts - starts[0]
            lengths = lengths.astype(np.float32)[:, None]
            yield first, last, Batch(*(self._gpu.put(each) for each in (*given, lengths)))
