"""Compiled: words learn to tell their neighbours from words that are drawn."""

from typing import Any

import numpy as np

from clary.toolkit.kernels._numba import kernel, types

IDS = types.Array(types.int32, 1, "C")
PLACES = types.Array(types.int64, 1, "C")
FLOATS = types.Array(types.float32, 1, "C")
TABLE = types.Array(types.float32, 2, "C")
SEED = types.uint64
LOOSE = {"nnan", "ninf", "nsz", "reassoc", "contract"}
LONGEST = 1000
"""Words of a sentence; no sentence may have more. Source: word2vec, MAX_SENTENCE_LENGTH."""
STEPS, WIDEST = 1024, np.float32(8.0)
"""The logistic function is read off a table of so many steps from -8 to 8."""
_X = (np.arange(STEPS + 1) / STEPS * 2 - 1) * float(WIDEST)
LOGISTIC = (1 / (1 + np.exp(-_X))).astype(np.float32)
MOST = np.uint64(0xFFFFFFFF)


@kernel(SEED(SEED))
def drawn(state: Any) -> Any:
    """Return the next state of a generator; its upper half is drawn. Source: Marsaglia (2003), xorshift."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    return state


@kernel(types.float32(types.float32))
def logistic(value: Any) -> Any:
    """Return the logistic function, off the table."""
    if value >= WIDEST:
        return np.float32(1.0)
    if value <= -WIDEST:
        return np.float32(0.0)
    return LOGISTIC[np.int64((value + WIDEST) * np.float32(STEPS / 16.0) + np.float32(0.5))]


@kernel(types.int32(SEED, FLOATS, IDS))
def negative(state: Any, chances: Any, others: Any) -> Any:
    """Return a word that is drawn, by the alias method. Source: Walker (1977), doi:10.1145/355744.355749."""
    wide = (state >> np.uint64(32)) * np.uint64(chances.shape[0])
    place = np.int64(wide >> np.uint64(32))
    rest = np.float32(wide & MOST) * np.float32(2.0**-32)
    return np.int32(place) if rest < chances[place] else others[place]


@kernel(types.UniTuple(types.int64, 2)(types.int64, types.int64, types.int64))
def between(at: Any, reach: Any, n: Any) -> Any:
    """Return where a window of a sentence of `n` words begins and ends."""
    return max(0, at - reach), min(n, at + reach + 1)


@kernel(types.Tuple((types.int64, SEED))(IDS, types.int64, types.int64, FLOATS, SEED, IDS))
def kept(tokens: Any, start: Any, end: Any, keep: Any, state: Any, found: Any) -> Any:
    """Write the words of a sentence that frequent words are left out of; return how many."""
    n = 0
    for at in range(start, end):
        word = tokens[at]
        if keep[word] < np.float32(1.0):
            state = drawn(state)
            if np.float32(state >> np.uint64(40)) * np.float32(2.0**-24) >= keep[word]:
                continue
        found[n] = word
        n += 1
    return n, state


@kernel(types.void(TABLE, TABLE, types.int64, types.int64, types.float32, TABLE), fastmath=LOOSE)
def slopes(near: Any, far: Any, n_near: Any, n_far: Any, rate: Any, found: Any) -> Any:
    """Write how far each near word's opinion of each far one is off; the first far one is the true one."""
    for c in range(n_near):
        for o in range(0, n_far, 3):
            x, y, z = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for k in range(near.shape[1]):
                x += near[c, k] * far[o, k]
                y += near[c, k] * far[o + 1, k]
                z += near[c, k] * far[o + 2, k]
            found[c, o] = -rate * logistic(x)
            found[c, o + 1] = -rate * logistic(y)
            found[c, o + 2] = -rate * logistic(z)
        found[c, 0] += rate


@kernel(
    types.void(
        TABLE, TABLE, IDS, IDS, types.int64, types.int64, types.float32, TABLE, TABLE, TABLE
    ),
    fastmath=LOOSE,
)  # fmt: skip
def shared(
    ins: Any,
    outs: Any,
    near: Any,
    far: Any,
    n_near: Any,
    n_far: Any,
    rate: Any,
    a: Any,
    b: Any,
    g: Any,
) -> Any:
    """Take one step: each near word against each far one, of which the first is the true one.

    `n_far` is a multiple of 3, so that three products share what they load; `far` of -1 is nobody.
    """
    width = ins.shape[1]
    for o in range(n_far):
        row = far[o]
        for k in range(width):
            b[o, k] = outs[row, k] if row >= 0 else np.float32(0.0)
    for c in range(n_near):
        row = near[c]
        for k in range(width):
            a[c, k] = ins[row, k]
    slopes(a, b, n_near, n_far, rate, g)
    for c in range(n_near):
        row = near[c]
        for o in range(0, n_far, 3):
            p, q, r = g[c, o], g[c, o + 1], g[c, o + 2]
            for k in range(width):
                ins[row, k] += p * b[o, k] + q * b[o + 1, k] + r * b[o + 2, k]
    for o in range(n_far):
        row = far[o]
        if row >= 0:
            for c in range(n_near):
                p = g[c, o]
                for k in range(width):
                    outs[row, k] += p * a[c, k]


@kernel(
    types.void(
        IDS,
        PLACES,
        PLACES,
        FLOATS,
        FLOATS,
        IDS,
        TABLE,
        TABLE,
        types.int64,
        types.int64,
        types.int64,
        types.float32,
        types.float32,
        SEED,
    ),
)
def batches(
    tokens: Any,
    starts: Any,
    order: Any,
    keep: Any,
    chances: Any,
    others: Any,
    ins: Any,
    outs: Any,
    window: Any,
    n_negatives: Any,
    size: Any,
    rate: Any,
    last_rate: Any,
    state: Any,
) -> Any:
    """Learn sentences by batches: the words around a word share what is drawn against it."""
    n_far = (n_negatives + 3) // 3 * 3
    words = np.empty(LONGEST, np.int32)
    near, far = np.empty(size, np.int32), np.empty(n_far, np.int32)
    a, b = np.empty((size, ins.shape[1]), np.float32), np.empty((n_far, ins.shape[1]), np.float32)
    g = np.empty((size, n_far), np.float32)
    step = (last_rate - rate) / np.float32(max(1, order.shape[0]))
    for number in range(order.shape[0]):
        n, state = kept(tokens, starts[order[number]], starts[order[number] + 1], keep, state, words)
        for at in range(n):
            state = drawn(state)
            reach = 1 + np.int64(((state >> np.uint64(32)) * np.uint64(window)) >> np.uint64(32))
            first, end = between(at, reach, n)
            to = first
            while to < end:
                n_near = 0
                while to < end and n_near < size:
                    if to != at:
                        near[n_near] = words[to]
                        n_near += 1
                    to += 1
                if n_near:
                    far[0] = words[at]
                    for o in range(1, n_far):
                        far[o] = -1
                        if o <= n_negatives:
                            state = drawn(state)
                            word = negative(state, chances, others)
                            if word != words[at]:
                                far[o] = word
                    shared(ins, outs, near, far, n_near, n_far, rate, a, b, g)
        rate += step


@kernel(
    SEED(FLOATS, FLOATS, TABLE, types.int32, FLOATS, IDS, types.int64, types.float32, SEED),
    fastmath=LOOSE,
)
def against(
    hidden: Any,
    slope: Any,
    outs: Any,
    target: Any,
    chances: Any,
    others: Any,
    n_negatives: Any,
    rate: Any,
    state: Any,
) -> Any:
    """Tell one word from words that are drawn; the slope of what was given is added to `slope`."""
    width = hidden.shape[0]
    for turn in range(n_negatives + 1):
        word, wanted = target, np.float32(1.0)
        if turn:
            state = drawn(state)
            word, wanted = negative(state, chances, others), np.float32(0.0)
            if word == target:
                continue
        x = np.float32(0.0)
        for k in range(width):
            x += hidden[k] * outs[word, k]
        g = rate * (wanted - logistic(x))
        for k in range(width):
            slope[k] += g * outs[word, k]
            outs[word, k] += g * hidden[k]
    return state


@kernel(types.int64(IDS, PLACES, types.int64, IDS, types.int64))
def parts(pieces: Any, firsts: Any, word: Any, found: Any, n: Any) -> Any:
    """Write the rows that a word is made of behind `n` others; return how many there are."""
    for at in range(firsts[word], firsts[word + 1]):
        found[n] = pieces[at]
        n += 1
    return n


@kernel(types.void(TABLE, IDS, types.int64, FLOATS), fastmath=LOOSE)
def middle(ins: Any, rows: Any, n: Any, hidden: Any) -> Any:
    """Write the mean of rows."""
    hidden[:] = 0.0
    for at in range(n):
        row = rows[at]
        for k in range(hidden.shape[0]):
            hidden[k] += ins[row, k]
    share = np.float32(1.0) / np.float32(n)
    for k in range(hidden.shape[0]):
        hidden[k] *= share


@kernel(types.void(TABLE, IDS, types.int64, FLOATS), fastmath=LOOSE)
def spread(ins: Any, rows: Any, n: Any, slope: Any) -> Any:
    """Add a slope to rows."""
    for at in range(n):
        row = rows[at]
        for k in range(slope.shape[0]):
            ins[row, k] += slope[k]


@kernel(
    types.void(
        IDS, PLACES, PLACES, FLOATS, FLOATS, IDS, IDS, PLACES, TABLE, TABLE,
        types.int64, types.int64, types.boolean, types.float32, types.float32, SEED,
    ),
)  # fmt: skip
def words(
    tokens: Any,
    starts: Any,
    order: Any,
    keep: Any,
    chances: Any,
    others: Any,
    pieces: Any,
    firsts: Any,
    ins: Any,
    outs: Any,
    window: Any,
    n_negatives: Any,
    is_bag: Any,
    rate: Any,
    last_rate: Any,
    state: Any,
) -> Any:
    """Learn sentences word by word: a word's neighbours by the word, or the word by the bag of them.

    A word is the rows `pieces[firsts[word] : firsts[word + 1]]` of `ins`: itself, and its pieces.
    """
    sentence = np.empty(LONGEST, np.int32)
    widest = np.int64(0)
    for word in range(firsts.shape[0] - 1):
        widest = max(widest, firsts[word + 1] - firsts[word])
    rows = np.empty(max(1, widest * (2 * window if is_bag else 1)), np.int32)
    hidden, slope = np.empty(ins.shape[1], np.float32), np.empty(ins.shape[1], np.float32)
    step = (last_rate - rate) / np.float32(max(1, order.shape[0]))
    for number in range(order.shape[0]):
        n, state = kept(tokens, starts[order[number]], starts[order[number] + 1], keep, state, sentence)
        for at in range(n):
            state = drawn(state)
            reach = 1 + np.int64(((state >> np.uint64(32)) * np.uint64(window)) >> np.uint64(32))
            first, end = between(at, reach, n)
            if end - first < 2:
                continue
            n_rows = 0
            if is_bag:
                for to in range(first, end):
                    if to != at:
                        n_rows = parts(pieces, firsts, sentence[to], rows, n_rows)
            else:
                n_rows = parts(pieces, firsts, sentence[at], rows, n_rows)
            middle(ins, rows, n_rows, hidden)
            slope[:] = 0.0
            if is_bag:
                state = against(hidden, slope, outs, sentence[at], chances, others, n_negatives, rate, state)
            else:
                for to in range(first, end):
                    if to != at:
                        state = against(
                            hidden, slope, outs, sentence[to], chances, others, n_negatives, rate, state
                        )
            spread(ins, rows, n_rows, slope)
        rate += step
