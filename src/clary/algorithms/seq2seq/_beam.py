"""Translation: the likeliest targets by a beam.

Source: Sutskever et al. (2014), arXiv:1409.3215; likelihoods are compared by word, as Sockeye does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary.algorithms.seq2seq._network import Memory, Network
from clary.algorithms.seq2seq._pairs import BEGIN, END, PAD, padded

import torch  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STEP_ROWS = 160
"""Beams followed at once, about."""
_NEVER = float("-inf")


@dataclass(frozen=True)
class Translation:
    """What was found for one source."""

    tokens: tuple[int, ...]
    attention: tuple[tuple[float, ...], ...] = ()
    """Of each token, what share of each of the source's it saw."""


def translate(
    network: Network, sources: Sequence[Sequence[int]], *, beam_size: int, has_attention: bool = False
) -> list[Translation]:
    """Return the likeliest target of each source.

    With `has_attention` sources are taken one by one, so that each one's numbers are those that it has alone.
    """
    size = 1 if has_attention else max(1, STEP_ROWS // beam_size)
    order = sorted(range(len(sources)), key=lambda place: len(sources[place]))
    found: dict[int, Translation] = {}
    with torch.inference_mode():
        for start in range(0, len(order), size):
            part = order[start : start + size]
            asked = [tuple(sources[place]) or (END,) for place in part]
            found |= zip(part, _searched(network, asked, beam_size, has_attention), strict=True)
    return [found[place] for place in range(len(sources))]


def _searched(
    network: Network, sources: Sequence[Sequence[int]], beam: int, has_attention: bool
) -> list[Translation]:
    """Follow beams of a few sources until each has as many whole targets as its beam is wide."""
    beams = _Beams(network, sources, beam, has_attention)
    for step in range(1, network.shape.max_seq_len_target + 1):
        if beams.grow(step):
            break
    return beams.best()


class _Beams:
    """The likeliest targets of some sources so far: `beam` rows of each, one behind the other."""

    def __init__(
        self, network: Network, sources: Sequence[Sequence[int]], beam: int, has_attention: bool
    ) -> None:
        self._network, self._sources, self._beam = network, sources, beam
        self._has_attention, self._is_cnn = has_attention, network.shape.decoder_type == "cnn"
        self._device = device = network.words.weight.device
        longest, n_sources = network.shape.max_seq_len_source, len(sources)
        tokens = torch.from_numpy(padded([one[:longest] for one in sources])).to(device)
        memory = network.encode(tokens)
        rows = torch.arange(n_sources, device=device).repeat_interleave(beam)
        self._state = {key: each[rows] for key, each in network.begin(memory).items()}
        self._memory = Memory(memory.values[rows], memory.is_there[rows], memory.last[rows])
        self._said = torch.full((n_sources * beam, 1), BEGIN, dtype=torch.int64, device=device)
        self._scores = torch.full((n_sources, beam), _NEVER, device=device)
        self._scores[:, 0] = 0.0
        self._seen = torch.zeros((n_sources * beam, 0, tokens.shape[1]), device=device)
        self._done: list[list[tuple[float, int, Translation]]] = [[] for _ in sources]

    def grow(self, step: int) -> bool:
        """Say one more word of each row; return whether every source has enough whole targets."""
        said = self._said if self._is_cnn else self._said[:, -1:]
        outputs, weights = self._network.decode(said, self._memory, self._state)
        likely = torch.log_softmax(outputs[:, -1], -1)
        likely[:, [PAD, BEGIN]] = _NEVER
        n_sources, n_words = len(self._sources), likely.shape[-1]
        total = (self._scores.reshape(-1, 1) + likely).reshape(n_sources, -1)
        best, places = total.topk(min(2 * self._beam, total.shape[1]), -1)
        first = torch.arange(n_sources, device=self._device)[:, None] * self._beam
        origin, word = first + places // n_words, places % n_words
        kept = [
            self._kept(source, step, zip(*found, strict=True))
            for source, found in enumerate(zip(best.tolist(), origin.tolist(), word.tolist(), strict=True))
        ]
        rows, words, scores = zip(*(each for one in kept for each in one), strict=True)
        index = torch.tensor(rows, device=self._device)
        if self._has_attention and weights is not None:
            self._seen = torch.cat((self._seen, weights[:, -1:]), 1)[index]
        self._said = torch.cat((self._said[index], torch.tensor(words, device=self._device)[:, None]), 1)
        self._state = {key: each[index] for key, each in self._state.items()}
        self._scores = torch.tensor(scores, device=self._device).reshape(n_sources, self._beam)
        return all(len(one) >= self._beam for one in self._done)

    def _kept(
        self, source: int, step: int, found: Iterable[tuple[float, int, int]]
    ) -> list[tuple[int, int, float]]:
        """Return row, word and score of what goes on; what has come to an end is done."""
        kept: list[tuple[int, int, float]] = []
        for score, row, token in found:
            if len(kept) == self._beam:
                break
            if token != END:
                kept.append((row, token, score))
            elif score > _NEVER:
                whole = self._whole(source, row)
                self._done[source].append((score / step, -len(self._done[source]), whole))
        return kept + [(*kept[-1][:2], _NEVER)] * (self._beam - len(kept))

    def _whole(self, source: int, row: int) -> Translation:
        tokens = tuple(self._said[row, 1:].tolist())
        if not self._has_attention:
            return Translation(tokens)
        n_read = len(self._sources[source])
        return Translation(tokens, tuple(tuple(each[:n_read]) for each in self._seen[row].tolist()))

    def best(self) -> list[Translation]:
        """Return the likeliest target of each source; where none came to an end, as far as it went."""
        for source, one in enumerate(self._done):
            if not one:
                row = source * self._beam + int(self._scores[source].argmax())
                one.append((0.0, 0, self._whole(source, row)))
        return [max(one, key=lambda each: each[:2])[2] for one in self._done]
