"""Vectors of words, by their neighbours: three modes, threads, several hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms.blazingtext import _fasttext
from clary.algorithms.blazingtext._corpus import LONGEST
from clary.algorithms.blazingtext._fasttext import FastText
from clary.algorithms.blazingtext._hyperparameters import BATCH_SKIPGRAM, CBOW
from clary.algorithms.blazingtext._turns import SEED, Turns
from clary.kernel.errors import CustomerError
from clary.toolkit.kernels import tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from clary.algorithms._hosts import Hosts
    from clary.algorithms.blazingtext._corpus import Sentences
    from clary.toolkit.hyperparameters import Params

POWER = 0.75
"""Words are drawn by this power of their count. Source: Mikolov and others (2013), arXiv:1310.4546."""
PART_WORDS = 500_000
"""Words that a host learns between two exchanges with the others, about; ten exchanges an epoch at most."""
PARTS = 10


class Vectors:
    """Words' vectors while they are learned."""

    def __init__(self, params: Params, sentences: Sentences) -> None:
        self._params, self._text = params, sentences
        self.words, counts = sentences.vocabulary.words, sentences.vocabulary.counts
        width = params.int("vector_dim")
        self._firsts, self._pieces, n_rows = self._made_of()
        self.ins = np.zeros((n_rows, width), np.float32)
        rows, draw = np.unique(self._pieces), np.random.default_rng(SEED)
        for start in range(0, len(rows), _fasttext.CHUNK_ROWS):
            part = rows[start : start + _fasttext.CHUNK_ROWS]
            self.ins[part] = (draw.random((len(part), width), np.float32) - np.float32(0.5)) / width
        self.outs = np.zeros((len(self.words), width), np.float32)
        shares = counts / counts.sum()
        threshold = params.float("sampling_threshold") / shares
        self._keep = np.minimum(1, np.sqrt(threshold) + threshold).astype(np.float32)
        self._chances, self._others = alias(counts.astype(np.float64) ** POWER)

    def _made_of(self) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
        """Return the rows that each word is made of, its own first, and how many rows there are."""
        params, n_words = self._params, len(self.words)
        own = np.arange(n_words, dtype=np.int32)
        if not params.is_true("subwords"):
            return np.arange(n_words + 1, dtype=np.int64), own, n_words
        n_buckets = params.int("buckets")
        firsts, found = tokens.pieces_of(
            self.words, params.int("min_char"), params.int("max_char"), n_buckets
        )
        rows = np.insert(found + np.int32(n_words), firsts[:-1], own)
        return firsts + np.arange(n_words + 1), rows.astype(np.int32), n_words + n_buckets

    def learn(self, turns: Turns, hosts: Hosts) -> None:
        """Learn all epochs; hosts learn a part of the sentences each, and exchange what changed."""
        self._run(turns, hosts)
        if not np.isfinite(self.outs).all():
            raise CustomerError(
                f"Training diverged: vectors are no numbers with learning_rate "
                f"{self._params['learning_rate']}; choose a smaller one"
            )

    def _run(self, turns: Turns, hosts: Hosts) -> None:
        text = self._text
        n_sentences = len(text.starts) - 1
        places = np.arange(hosts.rank, n_sentences, hosts.n_hosts, dtype=np.int64)
        n_parts = max(1, min(PARTS, len(text.tokens) // hosts.n_hosts // PART_WORDS))
        step = self._step()
        for epoch in range(self._params.int("epochs")):
            before = self._copies(hosts)
            for _ in turns.run(epoch, places, n_parts, step, hosts.rank):
                self._exchange(hosts, before)

    def _copies(self, hosts: Hosts) -> list[NDArray[np.float32]]:
        return [self.ins.copy(), self.outs.copy()] if hosts.n_hosts > 1 else []

    def _exchange(self, hosts: Hosts, before: list[NDArray[np.float32]]) -> None:
        """Take the mean of what the hosts that changed a row changed."""
        for now, old in zip((self.ins, self.outs), before, strict=False):
            change = np.asarray(now - old)
            n_changed = hosts.sum(np.asarray(change.any(axis=1), np.float32))
            np.add(old, hosts.sum(change) / np.maximum(n_changed, 1)[:, None], out=old)
            now[:] = old

    def _step(self) -> Callable[..., object]:
        """Return what learns some sentences."""
        mode = self._params["mode"]
        return self._batches() if mode == BATCH_SKIPGRAM else self._words(is_bag=mode == CBOW)

    def _batches(self) -> Callable[..., object]:
        from clary.toolkit.kernels import _embeddings  # noqa: PLC0415 - an extra

        text, params = self._text, self._params
        reach = min(params.int("window_size"), LONGEST)
        sizes = (reach, params.int("negative_samples"), min(params.int("batch_size"), 2 * reach))
        drawn = (self._keep, self._chances, self._others)

        def step(places: Any, rate: Any, last_rate: Any, seed: Any) -> None:
            _embeddings.batches(
                text.tokens, text.starts, places, *drawn, self.ins, self.outs, *sizes, rate, last_rate, seed
            )

        return step

    def _words(self, *, is_bag: bool) -> Callable[..., object]:
        from clary.toolkit.kernels import _embeddings  # noqa: PLC0415 - an extra

        text, params = self._text, self._params
        drawn = (self._keep, self._chances, self._others, self._pieces, self._firsts)
        sizes = (min(params.int("window_size"), LONGEST), params.int("negative_samples"), is_bag)

        def step(places: Any, rate: Any, last_rate: Any, seed: Any) -> None:
            _embeddings.words(
                text.tokens, text.starts, places, *drawn, self.ins, self.outs, *sizes, rate, last_rate, seed
            )

        return step

    def of_words(self) -> NDArray[np.float32]:
        """Return each word's vector: the mean of the rows that it is made of."""
        if len(self._pieces) == len(self.words):
            return self.ins
        from scipy import sparse  # noqa: PLC0415 - 40 ms

        n_pieces = np.diff(self._firsts)
        shares = np.repeat((1 / n_pieces).astype(np.float32), n_pieces)
        shape = (len(self.words), len(self.ins))
        return np.asarray(sparse.csr_matrix((shares, self._pieces, self._firsts), shape=shape) @ self.ins)

    def as_fasttext(self) -> FastText:
        """Return the model as fastText keeps it."""
        params = self._params
        has_pieces = params.is_true("subwords")
        return FastText(
            arguments={
                "dim": params.int("vector_dim"),
                "ws": params.int("window_size"),
                "epoch": params.int("epochs"),
                "min_count": params.int("min_count"),
                "neg": params.int("negative_samples"),
                "loss": _fasttext.NEGATIVES,
                "model": _fasttext.CBOW if params["mode"] == CBOW else _fasttext.SKIPGRAM,
                "bucket": params.int("buckets") if has_pieces else 0,
                "minn": params.int("min_char") if has_pieces else 0,
                "maxn": params.int("max_char") if has_pieces else 0,
                "t": params.float("sampling_threshold"),
            },
            words=self.words,
            counts=self._text.vocabulary.counts,
            n_tokens=self._text.n_read,
            ins=self.ins,
            outs=self.outs,
        )


def alias(weights: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return Walker's tables: a place stays with its chance, or else is another.

    Source: Vose (1991), doi:10.1109/32.92917.
    """
    chances = (weights / weights.sum() * len(weights)).tolist()
    others = list(range(len(chances)))
    small = [place for place, chance in enumerate(chances) if chance < 1]
    large = [place for place, chance in enumerate(chances) if chance >= 1]
    while small and large:
        few, many = small.pop(), large[-1]
        others[few] = many
        chances[many] -= 1 - chances[few]
        if chances[many] < 1:
            small.append(large.pop())
    for place in small + large:
        chances[place] = 1.0
    return np.array(chances, np.float32), np.array(others, np.int32)
