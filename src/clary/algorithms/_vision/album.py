"""The pictures of a channel, decoded: kept in memory while they fit, else one mini-batch ahead."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from clary.algorithms._vision.images import PictureError
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


KEEP_BYTES = 2 << 30
"""Decoded pictures that are kept for the next epoch."""
_N_MOST_THREADS = 16


class Readable(Protocol):
    """A picture that lies somewhere, or one and what belongs to it."""

    @property
    def name(self) -> str:
        """As messages say it."""
        ...

    def read(self) -> Any:
        """Return its bytes."""
        ...

    def mark(self) -> tuple[int, int]:
        """Return numbers by which an order comes that files do not make."""
        ...


class Album:
    """Pictures that can be taken in any order, as often as there are epochs."""

    def __init__(
        self,
        channel: str,
        pieces: Sequence[Readable],
        prepare: Callable[[Any], NDArray[np.uint8]],
        n_threads: int = 1,
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        """`prepare` decodes a picture and gives it the size in which it is kept."""
        self._channel = channel
        self._pieces = pieces
        self._prepare = prepare
        self._room = keep_bytes
        self._kept: list[NDArray[np.uint8] | None] = [None] * len(pieces)
        self._pool = ThreadPoolExecutor(max(1, min(n_threads, _N_MOST_THREADS)), "decode")

    def __len__(self) -> int:
        return len(self._pieces)

    def __getitem__(self, place: int) -> NDArray[np.uint8]:
        """Return a picture, which must not be changed.

        Raises
        ------
        CustomerError
            It is none; the text names the file.
        """
        kept = self._kept[place]
        if kept is not None:
            return kept
        piece = self._pieces[place]
        try:
            found = self._prepare(piece.read())
        except PictureError as error:
            raise CustomerError(
                f"Unable to read data channel '{self._channel}': {piece.name}: {error}"
            ) from error
        if self._room >= found.nbytes:  # threads may both pass: a picture more or less does not matter
            self._room -= found.nbytes
            self._kept[place] = found
        return found

    def take(self, order: NDArray[Any], size: int) -> Iterator[tuple[NDArray[Any], list[NDArray[np.uint8]]]]:
        """Yield places and their pictures, `size` at a time; while one lot is used, the next is decoded."""
        lots = [order[start : start + size] for start in range(0, len(order), size)]
        coming: list[Any] = []
        for number in range(len(lots) + 1):
            if number < len(lots):
                coming.append([self._asked(int(place)) for place in lots[number]])
            if number:
                yield lots[number - 1], [ask() for ask in coming.pop(0)]

    def _asked(self, place: int) -> Callable[[], NDArray[np.uint8]]:
        kept = self._kept[place]
        if kept is not None:
            return lambda: kept
        result: Callable[[], NDArray[np.uint8]] = self._pool.submit(self.__getitem__, place).result
        return result


def in_order(pieces: Sequence[Readable], labels: Sequence[Any]) -> list[int]:
    """Return the places of pictures in an order that their names and files' order have no part in."""
    marks = [
        (*piece.mark(), str(label), place)
        for place, (piece, label) in enumerate(zip(pieces, labels, strict=True))
    ]
    return [mark[-1] for mark in sorted(marks)]


def epoch_order(draw: np.random.Generator, n_pictures: int, n_steps: int, size: int) -> NDArray[np.intp]:
    """Return places for all steps of an epoch: each once, and those that fill the last step again."""
    return np.resize(draw.permutation(n_pictures), n_steps * size)
