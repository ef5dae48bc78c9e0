"""The compiled half of `tokens`: words of a text, numbered as they come; hashes as fastText has them."""

from typing import Any

import numpy as np

from clary.toolkit.kernels._numba import kernel, types

TEXT = types.Array(types.uint8, 1, "C", readonly=True)
POOL = types.Array(types.uint8, 1, "C")
HASHES = types.Array(types.uint32, 1, "C")
PLACES = types.Array(types.int64, 1, "C")
IDS = types.Array(types.int32, 1, "C")
BASIS, PRIME = np.uint32(2166136261), np.uint32(16777619)
"""Source: fastText, `Dictionary::hash`: FNV-1a of signed bytes."""
NEWLINE, SPACE, TAB, RETURN = 10, 32, 9, 13
LINE = -1
"""Stands for the end of a line."""


@kernel(types.boolean(types.uint8))
def is_blank(byte: Any) -> Any:
    """Tell whether a byte separates words, as fastText has it."""
    return byte == SPACE or TAB <= byte <= RETURN or byte == 0


@kernel(types.uint32(types.uint32, types.uint8))
def mixed(code: Any, byte: Any) -> Any:
    """Return the hash of one byte more."""
    more = np.uint32(byte)
    if byte >= 128:
        more |= np.uint32(0xFFFFFF00)
    return np.uint32((code ^ more) * PRIME)


@kernel(types.boolean(POOL, types.int64, TEXT, types.int64, types.int64))
def is_same(pool: Any, first: Any, text: Any, at: Any, length: Any) -> Any:
    """Tell whether a word of the pool stands in a text."""
    k = 0
    while k < length and pool[first + k] == text[at + k]:
        k += 1
    return k == length


@kernel(
    types.UniTuple(types.int64, 4)(TEXT, IDS, HASHES, PLACES, POOL, PLACES, IDS, types.int64, types.int64)
)
def scan(
    text: Any,
    slots: Any,
    hashes: Any,
    starts: Any,
    pool: Any,
    counts: Any,
    found: Any,
    n_words: Any,
    at: Any,
) -> Any:
    """Write the numbers of the words of a text that ends with a blank; stop early where tables are full.

    Returns bytes read, words known, ids found, and the reason to stop: 0 none, 1 slots, 2 the pool.
    """
    n_found, mask = 0, np.int64(slots.shape[0] - 1)
    while at < text.shape[0]:
        if is_blank(text[at]):
            if text[at] == NEWLINE:
                found[n_found] = LINE
                n_found += 1
            at += 1
            continue
        end, code = at, BASIS
        while not is_blank(text[end]):
            code = mixed(code, text[end])
            end += 1
        slot = np.int64(code) & mask
        while slots[slot] >= 0:
            word = slots[slot]
            first, length = starts[word], starts[word + 1] - starts[word]
            if hashes[word] == code and length == end - at and is_same(pool, first, text, at, length):
                break
            slot = (slot + 1) & mask
        word = slots[slot]
        if word < 0:
            if 2 * (n_words + 1) >= slots.shape[0]:
                return at, n_words, n_found, 1
            first = starts[n_words]
            if first + end - at > pool.shape[0]:
                return at, n_words, n_found, 2
            for k in range(end - at):
                pool[first + k] = text[at + k]
            word = np.int32(n_words)
            slots[slot], hashes[word] = word, code
            starts[word + 1] = first + end - at
            n_words += 1
        counts[word] += 1
        found[n_found] = word
        n_found += 1
        at = end
    return at, n_words, n_found, 0


@kernel(types.void(HASHES, IDS))
def place(hashes: Any, slots: Any) -> Any:
    """Put words that are all different into empty slots."""
    mask = np.int64(slots.shape[0] - 1)
    for word in range(hashes.shape[0]):
        slot = np.int64(hashes[word]) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = word


@kernel(types.int64(POOL, PLACES, types.int64, types.int64, types.int64, PLACES, IDS, types.boolean))
def pieces(
    pool: Any,
    starts: Any,
    shortest: Any,
    longest: Any,
    n_buckets: Any,
    firsts: Any,
    found: Any,
    is_dry: Any,
) -> Any:
    """Write the buckets of each word's pieces; return how many there are.

    `pool` has words in angle brackets. Source: fastText, `Dictionary::computeSubwords`.
    """
    n = np.int64(0)
    for word in range(starts.shape[0] - 1):
        if not is_dry:
            firsts[word] = n
        first, end = starts[word], starts[word + 1]
        for at in range(first, end):
            if pool[at] & 0xC0 == 0x80:
                continue
            code, to, length = BASIS, at, 1
            while to < end and length <= longest:
                code = mixed(code, pool[to])
                to += 1
                while to < end and pool[to] & 0xC0 == 0x80:
                    code = mixed(code, pool[to])
                    to += 1
                if length >= shortest and not (length == 1 and (at == first or to == end)):
                    if not is_dry:
                        found[n] = np.int32(np.int64(code) % n_buckets)
                    n += 1
                length += 1
    if not is_dry:
        firsts[starts.shape[0] - 1] = n
    return n


@kernel(types.int64(types.Array(types.float32, 1, "C"), POOL, types.int64))
def spell(values: Any, text: Any, at: Any) -> Any:
    """Write numbers with six decimals, a blank before each; return where the text ends."""
    for column in range(values.shape[0]):
        value = np.float64(values[column])
        text[at] = SPACE
        at += 1
        if value < 0:
            text[at] = 45
            at += 1
            value = -value
        scaled = np.int64(value * 1e6 + 0.5)
        whole, rest = scaled // 1000000, scaled % 1000000
        size = np.int64(1)
        while whole >= 10**size:
            size += 1
        for k in range(size):
            text[at + size - 1 - k] = 48 + whole % 10
            whole //= 10
        at += size
        text[at] = 46
        for k in range(6):
            text[at + 6 - k] = 48 + rest % 10
            rest //= 10
        at += 7
    return at
