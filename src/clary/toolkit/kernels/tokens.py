"""Words of texts: numbered as they come, counted, and hashed as fastText does.

    blocks of text ──add──▶ ids of words, -1 where a line ends        words: counts, hashes, spelling

What is read for training needs numba; a few words, of a request, are hashed without.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LINE = -1
"""Stands for the end of a line."""
_FIRST_SLOTS, _FIRST_BYTES = 1 << 16, 1 << 20
_BASIS, _PRIME = 2166136261, 16777619
_SHIFT = np.uint64(116049371)
BLANKS = b" \n\r\t\v\f\0"


class Words:
    """All words that were read, in the order of their first use.

    Raises
    ------
    ImportError
        There is no numba.
    """

    def __init__(self) -> None:
        from clary.toolkit.kernels import _tokens  # noqa: PLC0415 - an extra

        self._kernel = _tokens
        self._n = 0
        self._slots = np.full(_FIRST_SLOTS, -1, np.int32)
        self._hashes = np.zeros(_FIRST_SLOTS // 2, np.uint32)
        self._counts = np.zeros(_FIRST_SLOTS // 2, np.int64)
        self._starts = np.zeros(_FIRST_SLOTS // 2 + 1, np.int64)
        self._pool = np.zeros(_FIRST_BYTES, np.uint8)

    def __len__(self) -> int:
        return self._n

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each word was read."""
        return self._counts[: self._n]

    @property
    def hashes(self) -> NDArray[np.uint32]:
        """The hash of each word."""
        return self._hashes[: self._n]

    @property
    def spelled(self) -> list[bytes]:
        """The words."""
        pool, starts = self._pool.tobytes(), self._starts[: self._n + 1].tolist()
        return [pool[start:end] for start, end in pairwise(starts)]

    def add(self, text: bytes) -> NDArray[np.int32]:
        """Read words; return their numbers, and -1 where a line ends. The text ends with a blank."""
        block = np.frombuffer(text, np.uint8)
        found = np.empty(len(block), np.int32)
        at = n_found = 0
        while True:
            at, self._n, more, full = self._kernel.scan(
                block,
                self._slots,
                self._hashes,
                self._starts,
                self._pool,
                self._counts,
                found[n_found:],
                self._n,
                at,
            )
            n_found += more
            if not full:
                return found[:n_found].copy()
            if full == 1:
                self._widen()
            else:
                self._pool = _doubled(self._pool, len(block))

    def _widen(self) -> None:
        self._slots = np.full(2 * len(self._slots), -1, np.int32)
        self._hashes, self._counts = _doubled(self._hashes), _doubled(self._counts)
        self._starts = _doubled(self._starts)
        self._kernel.place(self.hashes, self._slots)


def _doubled(values: NDArray[Any], more: int = 0) -> NDArray[Any]:
    grown = np.zeros(2 * len(values) + more, values.dtype)
    grown[: len(values)] = values
    return grown


@lru_cache(maxsize=1 << 16)
def hashed(word: bytes) -> int:
    """Return the hash of a word.

    Examples
    --------
    >>> hashed(b"clary")
    3217439577
    """
    code = _BASIS
    for byte in word:
        code = ((code ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * _PRIME) & 0xFFFFFFFF
    return code


def runs(codes: NDArray[np.uint32], longest: int, n_buckets: int) -> NDArray[np.int64]:
    """Return the buckets of runs of two words and more, each at most `longest` long.

    Source: fastText, `Dictionary::addWordNgrams`.
    """
    wide = codes.view(np.int32).astype(np.int64).view(np.uint64)
    found, code = [], wide
    for length in range(2, min(longest, len(codes)) + 1):
        code = code[:-1] * _SHIFT + wide[length - 1 :]
        found.append(code % np.uint64(n_buckets))
    return np.concatenate(found).astype(np.int64) if found else np.empty(0, np.int64)


def pieces(word: bytes, shortest: int, longest: int, n_buckets: int) -> list[int]:
    """Return the buckets of a word's pieces, as `Pieces` finds them of many."""
    text = b"<" + word + b">"
    starts = [at for at, byte in enumerate(text) if byte & 0xC0 != 0x80] + [len(text)]
    n = len(starts) - 1
    return [
        hashed(text[starts[first] : starts[first + length]]) % n_buckets
        for first in range(n)
        for length in range(1, min(longest, n - first) + 1)
        if length >= shortest and not (length == 1 and first in {0, n - 1})
    ]


def pieces_of(
    words: Sequence[bytes], shortest: int, longest: int, n_buckets: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return where each word's pieces begin, and their buckets."""
    from clary.toolkit.kernels import _tokens  # noqa: PLC0415 - an extra

    pool = np.frombuffer(b"".join(b"<" + word + b">" for word in words), np.uint8).copy()
    starts = np.concatenate(([0], np.cumsum([len(word) + 2 for word in words]))).astype(np.int64)
    given = (pool, starts, shortest, longest, n_buckets)
    firsts, found = np.zeros(len(starts), np.int64), np.zeros(0, np.int32)
    found = np.zeros(_tokens.pieces(*given, firsts, found, True), np.int32)
    _tokens.pieces(*given, firsts, found, False)
    return firsts, found


def spelled(words: Sequence[bytes], vectors: NDArray[np.float32]) -> bytes:
    """Return a line for each word: itself, and its numbers with six decimals."""
    from clary.toolkit.kernels import _tokens  # noqa: PLC0415 - an extra

    most = vectors.shape[1] * 28
    text, lines = np.empty(most, np.uint8), []
    for word, values in zip(words, vectors, strict=True):
        end = _tokens.spell(values, text, 0)
        lines.append(word + text[:end].tobytes() + b"\n")
    return b"".join(lines)
