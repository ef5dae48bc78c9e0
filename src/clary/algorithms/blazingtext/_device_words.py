"""Vectors of words on a GPU: windows of some thousand words at a time.

sentences ─▶ frequent words left out, windows (NumPy) ─▶ put ─▶ words drawn against, slopes ─▶ rows move
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms.blazingtext._corpus import LONGEST
from clary.algorithms.blazingtext._device import MOST_CELLS, DeviceRows, batches, chunks
from clary.algorithms.blazingtext._hyperparameters import BATCH_SKIPGRAM, CBOW
from clary.algorithms.blazingtext._vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu
    from clary.algorithms._hosts import Hosts
    from clary.algorithms.blazingtext._corpus import Sentences
    from clary.algorithms.blazingtext._turns import Turns
    from clary.toolkit.hyperparameters import Params

LEAST_PLACES, MOST_PLACES, PLACES_A_WORD = 16, 1 << 12, 0.05
"""Words of a mini-batch: at least, at most, and between them so many for each word of the vocabulary."""


@dataclass(frozen=True)
class Chunk:
    """Sentences on a device, one behind the other, with room for a window before and behind."""

    words: Any
    sentences: Any
    """Which sentence each word is of; -1 before the first and behind the last."""
    reaches: Any
    """How far each word's window goes."""
    ends: NDArray[np.int64]
    """On the host: rows that the words before each are made of."""
    n_places: int


@dataclass(frozen=True)
class Window:
    """A mini-batch of places, and those around them."""

    words: Any
    """Shape (n_around,): those of the places, and of a window before and behind."""
    own: slice
    """Which of them are the places'."""
    rows: Any
    """Shape (n_rows,): what the words are made of."""
    owners: Any
    """Shape (n_rows,): which word each row is of."""
    near: Any
    """Shape (n_places, n_offsets): where each place's neighbours are among the words."""
    is_near: Any
    """The same shape: 1 for neighbours in the window, 0 for others."""
    drawn: Any
    """Shape (n_places, n_groups, n_negatives): words that each group of neighbours, or each, is told from."""


@dataclass(frozen=True)
class Said:
    """What a mini-batch says: slopes, and of how many moves each is the sum."""

    around: Any
    """Shape (n_around, width): of what words are made of."""
    moves: Any
    far: Any
    """Shape (n,): words that were told from others."""
    slopes: Any
    """Shape (n, width): theirs."""
    counts: Any


class DeviceVectors(Vectors):
    """Words' vectors that are learned on a device."""

    def __init__(self, gpu: Gpu, params: Params, sentences: Sentences) -> None:
        super().__init__(params, sentences)
        self._gpu, self._torch, self._mode = gpu, gpu.torch, params["mode"]
        self._reach = min(params.int("window_size"), LONGEST)
        offsets = np.delete(np.arange(-self._reach, self._reach + 1), self._reach)
        self._shape = (1 if self._mode == CBOW else len(offsets), params.int("negative_samples"))
        if self._mode == BATCH_SKIPGRAM:
            size = min(params.int("batch_size"), len(offsets))
            self._shape = (-(-len(offsets) // size), self._shape[1])
            offsets = np.append(offsets, np.zeros(self._shape[0] * size - len(offsets), offsets.dtype))
        self._offsets = gpu.put(offsets)
        self._tables = gpu.put(self._chances), gpu.put(self._others)
        self._made = gpu.put(self._pieces), gpu.put(self._firsts)
        self._is_plain = len(self._pieces) == len(self.words)
        self._most_rows = max(1, MOST_CELLS // self.ins.shape[1])
        most = self._most_rows // (len(offsets) + self._shape[0] * (1 + self._shape[1]))
        wanted = max(LEAST_PLACES, min(MOST_PLACES, int(PLACES_A_WORD * len(self.words))))
        self._size = max(1, min(wanted, most))

    def _run(self, turns: Turns, hosts: Hosts) -> None:
        self._moved = DeviceRows(self._gpu, self.ins), DeviceRows(self._gpu, self.outs)
        super()._run(turns, hosts)
        self._bring()

    def _bring(self) -> None:
        for here, there in zip((self.ins, self.outs), self._moved, strict=True):
            here[:] = self._gpu.take(there.values)

    def _exchange(self, hosts: Hosts, before: list[NDArray[np.float32]]) -> None:
        if hosts.n_hosts > 1:
            self._bring()
            super()._exchange(hosts, before)
            for here, there in zip((self.ins, self.outs), self._moved, strict=True):
                there.values[:] = self._gpu.put(here)

    def _step(self) -> Callable[..., object]:
        return self._learn_part

    def _learn_part(self, places: Any, rate: Any, last_rate: Any, seed: Any) -> None:
        """Learn sentences, at a rate that falls in a line."""
        draw = np.random.default_rng(seed)
        device_draw = self._torch.Generator(self._gpu.device).manual_seed(int(seed) >> 1)
        starts, done = self._text.starts, 0
        n_words = int((starts[places + 1] - starts[places]).sum())
        for _, found, owners in chunks(starts, places):
            chunk = self._chunk(self._text.tokens[found], owners, draw)
            for first, last in batches(chunk.ends, chunk.n_places, self._size, self._most_rows):
                share = (done + len(found) * first / chunk.n_places) / n_words
                window = self._window(chunk, first, last, self._drawn(last - first, device_draw))
                self.move(window, float(rate + (last_rate - rate) * share))
            done += len(found)

    def _chunk(self, words: Any, owners: Any, draw: np.random.Generator) -> Chunk:
        """Leave out frequent words now and then, draw windows, and put it all on the device."""
        keep = self._keep[words]
        is_kept = (keep >= 1) | (draw.random(len(words), np.float32) < keep)
        words, owners = words[is_kept], owners[is_kept]
        reaches = draw.integers(1, self._reach + 1, len(words), np.int32)
        words, reaches = (np.pad(each, self._reach) for each in (words, reaches))
        owners = np.pad(owners, self._reach, constant_values=-1)
        ends = np.concatenate(([0], np.cumsum(np.diff(self._firsts)[words])))
        put = self._gpu.put
        return Chunk(put(words), put(owners), put(reaches), ends, len(words) - 2 * self._reach)

    def _drawn(self, n_places: int, draw: Any) -> Any:
        """Return words that are drawn by the alias method."""
        torch, (chances, others) = self._torch, self._tables
        given: Any = {"generator": draw, "device": self._gpu.device}
        places = torch.randint(len(self.words), (n_places, *self._shape), **given)
        return torch.where(torch.rand(places.shape, **given) < chances[places], places, others[places].long())

    def _window(self, chunk: Chunk, first: int, last: int, drawn: Any) -> Window:
        """Return the windows of some places of a chunk."""
        part, own = slice(first, last + 2 * self._reach), slice(self._reach, self._reach + last - first)
        words, sentences = chunk.words[part].long(), chunk.sentences[part]
        rows, owners = self._rows(words, int(chunk.ends[part.stop] - chunk.ends[first]))
        near = self._torch.arange(own.start, own.stop, device=self._gpu.device)[:, None] + self._offsets
        far = self._offsets.abs()
        is_near = (sentences[near] == sentences[own][:, None]) & (far <= chunk.reaches[part][own][:, None])
        return Window(words, own, rows, owners, near, (is_near & (far > 0)).float(), drawn)

    def _rows(self, words: Any, n_rows: int) -> tuple[Any, Any]:
        """Return the rows that words are made of, and which word each is of."""
        torch, (pieces, firsts) = self._torch, self._made
        numbers = torch.arange(max(n_rows, len(words)), device=self._gpu.device)
        if self._is_plain:
            return words, numbers
        lengths = (firsts[1:] - firsts[:-1])[words]
        owners = torch.repeat_interleave(numbers[: len(words)], lengths, output_size=n_rows)
        skipped = firsts[words] - (lengths.cumsum(0) - lengths)
        return pieces[numbers[:n_rows] + skipped[owners]].long(), owners

    def move(self, window: Window, rate: float) -> None:
        """Take one step."""
        ins, outs = self._moved
        sums, n_rows = self._summed(ins.values, window)
        say = {BATCH_SKIPGRAM: by_batches, CBOW: by_bags}.get(self._mode, by_words)
        said = say(self._torch, window, sums, n_rows, outs.values)
        ins.add(window.rows, said.around[window.owners], said.moves[window.owners], rate)
        outs.add(said.far, said.slopes, said.counts, rate)

    def _summed(self, ins: Any, window: Window) -> tuple[Any, Any]:
        """Return the sum of each word's rows, and how many there are."""
        found = ins[window.rows]
        ones = self._torch.ones_like(found[:, 0])
        if self._is_plain:
            return found, ones
        sums, counts = found.new_zeros(len(window.words), found.shape[1]), ones.new_zeros(len(window.words))
        return sums.index_add_(0, window.owners, found), counts.index_add_(0, window.owners, ones)


def by_batches(torch: Any, window: Window, sums: Any, n_rows: Any, outs: Any) -> Said:
    """Tell a word from drawn ones by each of its neighbours, which share them by groups."""
    n_places, n_groups, _ = window.drawn.shape
    own = window.words[window.own][:, None, None].expand(-1, n_groups, 1)
    far, is_far = _told(torch, own, window.drawn)
    far, is_far = far.flatten(0, 1), is_far.flatten(0, 1)
    hidden = sums[window.near].view(n_places * n_groups, -1, sums.shape[1])
    counts = window.is_near.view(len(far), -1, 1) * is_far[:, None]
    slopes, theirs = _against(torch, hidden, outs[far], counts)
    around, moves = _back(torch, window, sums, slopes.flatten(0, 1))
    return Said(around, moves, far.flatten(), theirs.flatten(0, 1), counts.amax(1).flatten())


def by_bags(torch: Any, window: Window, sums: Any, n_rows: Any, outs: Any) -> Said:
    """Tell a word from drawn ones by the mean of all that its neighbours are made of."""
    is_near = window.is_near[:, :, None]
    n_all = (is_near[:, :, 0] * n_rows[window.near]).sum(1).clamp(min=1)
    hidden = ((is_near * sums[window.near]).sum(1) / n_all[:, None])[:, None]
    far, is_far = _told(torch, window.words[window.own][:, None, None], window.drawn)
    counts = window.is_near.amax(1)[:, None, None] * is_far
    slopes, theirs = _against(torch, hidden, outs[far[:, 0]], counts)
    around, moves = _back(torch, window, sums, (is_near * slopes).flatten(0, 1))
    return Said(around, moves, far.flatten(), theirs.flatten(0, 1), counts.flatten())


def by_words(torch: Any, window: Window, sums: Any, n_rows: Any, outs: Any) -> Said:
    """Tell each neighbour of a word from drawn ones by the mean of what the word is made of."""
    far, is_far = _told(torch, window.words[window.near][:, :, None], window.drawn)
    hidden = (sums / n_rows[:, None])[window.own][:, None]
    counts = (window.is_near[:, :, None] * is_far).flatten(1)
    slopes, theirs = _against(torch, hidden, outs[far.flatten(1)], counts[:, None], far.shape[2])
    around, moves = torch.zeros_like(sums), torch.zeros_like(n_rows)
    around[window.own], moves[window.own] = slopes[:, 0], window.is_near.amax(1)
    return Said(around, moves, far.flatten(), theirs.flatten(0, 1), counts.flatten())


def _told(torch: Any, true: Any, drawn: Any) -> tuple[Any, Any]:
    """Return words with those that are drawn against them, and 1 where that is another word."""
    is_far = torch.cat((torch.ones_like(true, dtype=torch.float32), (drawn != true).float()), 2)
    return torch.cat((true, drawn), 2), is_far


def _against(torch: Any, hidden: Any, theirs: Any, counts: Any, each: int = 0) -> tuple[Any, Any]:
    """Return the slopes of some vectors, and of the words that they tell.

    Parameters
    ----------
    hidden, theirs : tensor, shape (n, n_hidden, width) and (n, n_words, width)
    counts : tensor, shape (n, n_hidden, n_words)
        0 for pairs that are none.
    each : int
        Of so many words the first is the true one; 0: of all.
    """
    off = -(hidden @ theirs.mT).sigmoid()
    off[:, :, :: each or theirs.shape[1]] += 1
    off *= counts
    return off @ theirs, off.mT @ hidden


def _back(torch: Any, window: Window, sums: Any, slopes: Any) -> tuple[Any, Any]:
    """Return slopes of neighbours added up by word, and how many there were."""
    near = window.near.flatten()
    around, moves = torch.zeros_like(sums), torch.zeros_like(sums[:, 0])
    return around.index_add_(0, near, slopes), moves.index_add_(0, near, window.is_near.flatten())
