"""Pairs of sequences of tokens, and their labels."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._lines import lines_of
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from clary.algorithms.base import Source

SIDES = ("in0", "in1")


class TokenError(ValueError):
    """A sequence is none of tokens; the text says why."""


@dataclass(frozen=True)
class Tokens:
    """Sequences, one behind the other."""

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]
    """Where each begins, and where the last ends."""

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> Tokens:
        """Put sequences behind each other."""
        starts = np.cumsum([0, *map(len, sequences)])
        tokens = np.fromiter((each for sequence in sequences for each in sequence), np.int32, starts[-1])
        return cls(tokens, starts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each."""
        return np.diff(self.starts)

    def take(self, places: NDArray[Any]) -> Tokens:
        """Return some sequences."""
        lengths = self.lengths[places]
        starts = np.concatenate(([0], np.cumsum(lengths)))
        if lengths.size and lengths.min() == lengths.max() == 1:
            return Tokens(self.tokens[self.starts[places]], starts)
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        return Tokens(self.tokens[np.repeat(self.starts[places], lengths) + within], starts)

    def padded(self) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return a matrix of tokens, as wide as the longest, and where it has any."""
        lengths = self.lengths
        is_there = np.arange(max(1, int(lengths.max(initial=0)))) < lengths[:, None]
        found = np.zeros(is_there.shape, np.int32)
        found[is_there] = self.tokens
        return found, is_there


@dataclass(frozen=True)
class Pairs:
    """What a channel has."""

    sides: tuple[Tokens, Tokens]
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: NDArray[Any]) -> Pairs:
        """Return some pairs."""
        return Pairs((self.sides[0].take(places), self.sides[1].take(places)), self.labels[places])


def sequence(value: Any, n_tokens: int, longest: int) -> list[int]:
    """Return one sequence, cut to what is allowed.

    Raises
    ------
    TokenError
        It is no list of tokens of the vocabulary.
    """
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise TokenError("must be a list of integers such as [6, 17, 606]")
    found = value[:longest]
    if found and not (min(found) >= 0 and max(found) < n_tokens):
        wrong = next(each for each in found if not 0 <= each < n_tokens)
        raise TokenError(f"has token {wrong}, not in range [0, {n_tokens - 1}]")
    return found


def read(source: Source, sizes: tuple[int, int], longest: tuple[int, int], n_classes: int) -> Pairs:
    """Read a channel.

    Parameters
    ----------
    sizes : tuple of int
        Tokens that each side's vocabulary has.
    n_classes : int
        Labels are 0 to one less; 0 where they are numbers.

    Raises
    ------
    CustomerError
        A line is no labelled pair, or there is none.
    """
    sides: tuple[list[list[int]], list[list[int]]] = ([], [])
    labels: list[float] = []
    marks: list[int] = []
    for block in lines_of(source):
        for place, line in enumerate(block.lines):
            if not line.strip():
                continue
            try:
                document = json.loads(line)
                labels.append(_label(document, n_classes))
                for side, name in enumerate(SIDES):
                    try:
                        found = sequence(document.get(name), sizes[side], longest[side])
                    except TokenError as error:
                        raise TokenError(f"{name} {error}") from error
                    sides[side].append(found)
            except ValueError as error:
                text = str(error) if isinstance(error, TokenError) else f"it is not JSON: {error}"
                raise block.fault(place, text) from error
            marks.append(zlib.crc32(line.strip()))
    if not labels:
        raise CustomerError(f"No data in channel {source.name}: it has no rows")
    pairs = Pairs((Tokens.of(sides[0]), Tokens.of(sides[1])), np.array(labels, np.float32))
    return pairs.take(np.argsort(np.array(marks), kind="stable"))  # one order, whatever the files'


def _label(document: Any, n_classes: int) -> float:
    label: Any = document.get("label") if isinstance(document, dict) else None
    if type(label) not in {int, float} or not np.isfinite(label):
        raise TokenError('must be {"label": number, "in0": [tokens], "in1": [tokens]}')
    if n_classes and not (label == int(label) and 0 <= label < n_classes):
        raise TokenError(f"label is {label}, and must be an integer in range [0, {n_classes - 1}]")
    return float(label)
