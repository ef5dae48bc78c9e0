"""Training text: numbered words, in sentences or in texts with labels; the order of files changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms.blazingtext._texts import LABEL, blocks_of
from clary.kernel.errors import CustomerError
from clary.toolkit.kernels.tokens import LINE, Words, hashed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms.base import Source

END_OF_LINE = b"</s>"
"""What fastText reads at the end of a line; a feature of texts with labels."""
LONGEST = 1000
"""Words of a sentence; what is longer is cut. Source: word2vec, MAX_SENTENCE_LENGTH."""


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Words, the most frequent first; equal counts by their bytes."""

    words: list[bytes]
    counts: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """Sentences of known words."""

    vocabulary: Vocabulary
    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]
    """Of sentences, and where the last one ends."""
    n_read: int
    """Words of the text, rare ones too."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts with labels; a word that is not known is -1, and still has its hash."""

    tokens: NDArray[np.int32]
    codes: NDArray[np.uint32]
    starts: NDArray[np.int64]
    labels: NDArray[np.int32]
    firsts: NDArray[np.int64]
    """Where each text's labels begin, and where the last one's end."""

    def __len__(self) -> int:
        return len(self.starts) - 1


class _Read:
    """A channel as it was read: words by their numbers, -1 where a line ends."""

    def __init__(self, source: Source) -> None:
        try:
            words = Words()
        except ImportError as error:
            raise CustomerError(
                "BlazingText trains with compiled loops, which need numba: pip install 'clary[kernels]'"
            ) from error
        parts = [words.add(block) for block in blocks_of(source)]
        self.ids = np.concatenate(parts) if parts else np.empty(0, np.int32)
        if not len(words):
            raise CustomerError(f"No data in channel {source.name}: it has no words")
        if self.ids[-1] != LINE:
            self.ids = np.append(self.ids, np.int32(LINE))
        self.name = source.name
        self.words, self.counts, self.codes = words.spelled, words.counts.copy(), words.hashes.copy()

    def chosen(self, places: NDArray[Any]) -> tuple[Vocabulary, NDArray[np.int32]]:
        """Return a vocabulary of some words, and the new number of every old one; -1 is none."""
        ordered = sorted(places.tolist(), key=lambda word: (-self.counts[word], self.words[word]))
        renumbered = np.full(len(self.words) + 1, -1, np.int32)
        renumbered[ordered] = np.arange(len(ordered))
        return (
            Vocabulary(words=[self.words[word] for word in ordered], counts=self.counts[ordered]),
            renumbered,
        )


def read_sentences(source: Source, min_count: int) -> Sentences:
    """Read a channel of sentences.

    Raises
    ------
    CustomerError
        There is no word, or none as often as min_count says.
    """
    read = _Read(source)
    vocabulary, renumbered = read.chosen(np.flatnonzero(read.counts >= min_count))
    if not vocabulary.words:
        raise CustomerError(
            f"Channel {source.name} has no word that occurs {min_count} times, as min_count asks"
        )
    tokens = renumbered[read.ids]
    is_known = tokens >= 0
    ends = np.cumsum(is_known)[read.ids == LINE]
    lengths = np.diff(ends, prepend=0)
    pieces = -(-lengths // LONGEST)
    firsts = np.repeat(ends - lengths, pieces)
    numbers = np.arange(len(firsts)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = np.append(firsts + LONGEST * numbers, ends[-1]).astype(np.int64)
    tokens, starts = _ordered(tokens[is_known], starts)
    return Sentences(
        vocabulary=vocabulary, tokens=tokens, starts=starts, n_read=int(np.count_nonzero(read.ids >= 0))
    )


def _ordered(tokens: NDArray[np.int32], starts: NDArray[np.int64]) -> tuple[Any, Any]:
    """Put sentences into an order that is that of their words, whatever it was."""
    order = np.argsort(_codes(tokens, starts), kind="stable")
    return _taken(tokens, starts, order)


def _codes(tokens: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a number for each sentence that differs where its words do."""
    n = np.diff(starts)
    places = np.arange(len(tokens)) - np.repeat(starts[:-1], n)
    mixed = (tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= places.astype(np.uint64) * np.uint64(2) + np.uint64(0xBF58476D1CE4E5B9)
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    return np.asarray(sums[starts[1:]] - sums[starts[:-1]])


def _taken(values: NDArray[Any], starts: NDArray[np.int64], order: NDArray[Any]) -> tuple[Any, Any]:
    """Return stretches of values in another order."""
    lengths = np.diff(starts)[order]
    ends = np.cumsum(lengths)
    places = np.arange(int(lengths.sum())) + np.repeat(starts[:-1][order] - (ends - lengths), lengths)
    return values[places], np.concatenate(([0], ends)).astype(np.int64)


def read_texts(
    source: Source, min_count: int, known: tuple[Vocabulary, Vocabulary] | None = None
) -> tuple[Texts, Vocabulary, Vocabulary]:
    """Read a channel of texts with labels; return them, and the vocabularies of words and of labels.

    Parameters
    ----------
    known : pair of Vocabulary, optional
        Of the train channel; without, they are made.

    Raises
    ------
    CustomerError
        There is no text with a label.
    """
    read = _Read(source)
    is_label = np.array([word.startswith(LABEL) for word in read.words])
    labels = np.flatnonzero(is_label)
    if not len(labels):
        raise CustomerError(
            f"Channel {source.name} has no label: in mode supervised a line has words that begin with "
            f"{LABEL.decode()}"
        )
    n_lines = int(np.count_nonzero(read.ids == LINE))
    ending = Vocabulary(words=[END_OF_LINE], counts=np.array([n_lines]))
    if known is None:
        words, new = read.chosen(np.flatnonzero(~is_label & (read.counts >= min_count)))
        named, new_labels = read.chosen(labels)
        words, new, end = _with_ending(words, new, ending if n_lines >= min_count else None)
    else:
        words, named = known
        new, new_labels = _renumbered(read, words), _renumbered(read, named)
        end = words.words.index(END_OF_LINE) if END_OF_LINE in words.words else -1
    codes = np.append(read.codes, np.uint32(hashed(END_OF_LINE)))
    new[-1] = end
    is_word = np.append(~is_label, True)[read.ids]
    tokens, hashes = new[read.ids][is_word], codes[read.ids][is_word]
    ends = np.cumsum(is_word)[read.ids == LINE]
    found = new_labels[read.ids]
    is_known = (found >= 0) & ~is_word
    firsts = np.concatenate(([0], np.cumsum(is_known)[read.ids == LINE]))
    texts = _in_order(tokens, hashes, np.concatenate(([0], ends)), found[is_known], firsts)
    return texts, words, named


def _with_ending(words: Vocabulary, new: Any, ending: Vocabulary | None) -> tuple[Vocabulary, Any, int]:
    """Put the end of a line among the words, where its count says."""
    if ending is None:
        return words, new, -1
    place = int(np.searchsorted(-words.counts, -ending.counts[0], side="left"))
    new[new >= place] += 1
    both = Vocabulary(
        words=[*words.words[:place], *ending.words, *words.words[place:]],
        counts=np.insert(words.counts, place, ending.counts[0]),
    )
    return both, new, place


def _renumbered(read: _Read, known: Vocabulary) -> NDArray[np.int32]:
    places = {word: place for place, word in enumerate(known.words)}
    return np.array([places.get(word, -1) for word in read.words] + [-1], np.int32)


def _in_order(tokens: Any, hashes: Any, starts: Any, labels: Any, firsts: Any) -> Texts:
    starts, firsts = starts.astype(np.int64), firsts.astype(np.int64)
    order = np.lexsort((_codes(labels, firsts), _codes(hashes, starts)))
    tokens, new_starts = _taken(tokens, starts, order)
    hashes, _ = _taken(hashes, starts, order)
    labels, new_firsts = _taken(labels, firsts, order)
    return Texts(tokens=tokens, codes=hashes, starts=new_starts, labels=labels, firsts=new_firsts)
