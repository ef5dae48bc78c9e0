"""Compiled: texts and their labels, by words and runs of words, as fastText learns them.

Source: Joulin and others (2016), "Bag of tricks for efficient text classification", arXiv:1607.01759.
"""

from typing import Any

import numpy as np

from clary.toolkit.kernels._embeddings import middle, spread
from clary.toolkit.kernels._numba import kernel, types

IDS = types.Array(types.int32, 1, "C")
CODES = types.Array(types.uint32, 1, "C")
PLACES = types.Array(types.int64, 1, "C")
FLOATS = types.Array(types.float32, 1, "C")
TABLE = types.Array(types.float32, 2, "C")
MARKS = types.Array(types.uint8, 1, "C")
LOOSE = {"nnan", "nsz", "reassoc", "contract"}
SHIFT = np.uint64(116049371)
"""Source: fastText, `Dictionary::addWordNgrams`."""


@kernel(types.uint64(types.uint32))
def widened(code: Any) -> Any:
    """Return a hash as fastText widens it: as a signed number."""
    return np.uint64(np.int64(np.int32(code)))


@kernel(types.int64(IDS, CODES, types.int64, types.int64, types.int64, types.int64, types.int64, IDS))
def features(
    tokens: Any, codes: Any, start: Any, end: Any, n_words: Any, n_buckets: Any, longest: Any, found: Any
) -> Any:
    """Write the rows of a text: its known words, and the buckets of runs of words; return how many."""
    n = 0
    for at in range(start, end):
        if tokens[at] >= 0:
            found[n] = tokens[at]
            n += 1
    for at in range(start, end):
        code = widened(codes[at])
        for to in range(at + 1, min(end, at + longest)):
            code = code * SHIFT + widened(codes[to])
            found[n] = np.int32(np.uint64(n_words) + code % np.uint64(n_buckets))
            n += 1
    return n


@kernel(types.int64(PLACES))
def widest(starts: Any) -> Any:
    """Return the words of the longest text."""
    most = np.int64(1)
    for at in range(starts.shape[0] - 1):
        most = max(most, starts[at + 1] - starts[at])
    return most


@kernel(types.void(IDS, CODES, PLACES, types.int64, types.int64, types.int64, MARKS))
def touch(
    tokens: Any, codes: Any, starts: Any, n_words: Any, n_buckets: Any, longest: Any, marks: Any
) -> Any:
    """Mark the rows that texts are made of."""
    rows = np.empty(widest(starts) * longest, np.int32)
    for text in range(starts.shape[0] - 1):
        n = features(tokens, codes, starts[text], starts[text + 1], n_words, n_buckets, longest, rows)
        for at in range(n):
            marks[rows[at]] = 1


@kernel(types.void(FLOATS, TABLE, FLOATS), fastmath=LOOSE)
def guess(hidden: Any, outs: Any, chances: Any) -> Any:
    """Write the chance of each label."""
    most = np.float32(-np.inf)
    for label in range(outs.shape[0]):
        x = np.float32(0.0)
        for k in range(hidden.shape[0]):
            x += hidden[k] * outs[label, k]
        chances[label] = x
        most = max(most, x)
    total = np.float32(0.0)
    for label in range(outs.shape[0]):
        chances[label] = np.exp(chances[label] - most)
        total += chances[label]
    for label in range(outs.shape[0]):
        chances[label] /= total


@kernel(
    types.void(
        IDS, CODES, PLACES, IDS, PLACES, PLACES, types.int64, types.int64, types.int64, TABLE, TABLE,
        types.float32, types.float32, types.uint64,
    ),
    fastmath=LOOSE,
)  # fmt: skip
def learn(
    tokens: Any,
    codes: Any,
    starts: Any,
    labels: Any,
    firsts: Any,
    order: Any,
    n_words: Any,
    n_buckets: Any,
    longest: Any,
    ins: Any,
    outs: Any,
    rate: Any,
    last_rate: Any,
    state: Any,
) -> Any:
    """Learn texts; of several labels, one that is drawn."""
    width, n_labels = ins.shape[1], outs.shape[0]
    rows = np.empty(widest(starts) * longest, np.int32)
    hidden, slope = np.empty(width, np.float32), np.empty(width, np.float32)
    chances = np.empty(n_labels, np.float32)
    step = (last_rate - rate) / np.float32(max(1, order.shape[0]))
    for number in range(order.shape[0]):
        text = order[number]
        n = features(tokens, codes, starts[text], starts[text + 1], n_words, n_buckets, longest, rows)
        n_own = firsts[text + 1] - firsts[text]
        if n and n_own:
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            target = labels[firsts[text] + np.int64((state >> np.uint64(32)) % np.uint64(n_own))]
            middle(ins, rows, n, hidden)
            guess(hidden, outs, chances)
            slope[:] = 0.0
            for label in range(n_labels):
                wanted = np.float32(1.0) if label == target else np.float32(0.0)
                g = rate * (wanted - chances[label])
                for k in range(width):
                    slope[k] += g * outs[label, k]
                    outs[label, k] += g * hidden[k]
            for k in range(width):
                slope[k] /= np.float32(n)
            spread(ins, rows, n, slope)
        rate += step


@kernel(
    types.UniTuple(types.int64, 2)(
        IDS, CODES, PLACES, IDS, PLACES, types.int64, types.int64, types.int64, TABLE, TABLE
    ),
    fastmath=LOOSE,
)
def judge(
    tokens: Any,
    codes: Any,
    starts: Any,
    labels: Any,
    firsts: Any,
    n_words: Any,
    n_buckets: Any,
    longest: Any,
    ins: Any,
    outs: Any,
) -> Any:
    """Return how many texts have the likeliest label among theirs, and how many have labels."""
    rows = np.empty(widest(starts) * longest, np.int32)
    hidden, chances = np.empty(ins.shape[1], np.float32), np.empty(outs.shape[0], np.float32)
    right, of = np.int64(0), np.int64(0)
    for text in range(starts.shape[0] - 1):
        n = features(tokens, codes, starts[text], starts[text + 1], n_words, n_buckets, longest, rows)
        if firsts[text] == firsts[text + 1] or not n:
            continue
        of += 1
        middle(ins, rows, n, hidden)
        guess(hidden, outs, chances)
        best = 0
        for label in range(1, outs.shape[0]):
            if chances[label] > chances[best]:
                best = label
        for at in range(firsts[text], firsts[text + 1]):
            if labels[at] == best:
                right += 1
                break
    return right, of
