"""What words and labels share on a GPU: rows that many slopes move at once, and chunks of text that travel.

The processor's loops move a row word by word. On a device a mini-batch's slopes are all of the rows as they
stood before it: a row that would go too far by their sum goes `FARTHEST` of their mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu

CHUNK_WORDS = 1 << 20
"""Words that travel to the device together, about."""
MOST_CELLS = 1 << 27
"""Numbers that a mini-batch compares or adds up, at most: 512 MB."""
FARTHEST = 1.0
"""Steps of its mean slope that a row goes in a mini-batch, at most."""


class DeviceRows:
    """A matrix on a device, whose rows move by what is added up for them."""

    def __init__(self, gpu: Gpu, values: NDArray[np.float32]) -> None:
        self.values = gpu.put(values)
        self._counts = gpu.put(np.zeros(len(values), np.float32))

    def add(self, rows: Any, slopes: Any, counts: Any, rate: float) -> None:
        """Move some rows, which may be named more than once.

        Parameters
        ----------
        rows : tensor of int64, shape (n,)
        slopes : tensor, shape (n, width)
        counts : tensor, shape (n,)
            Float32: of how many moves each slope is the sum; 0 where it is none.
        """
        totals = self._counts.index_add_(0, rows, counts)[rows]
        rates = (FARTHEST / totals.clamp(min=1)).clamp(max=rate)
        self.values.index_add_(0, rows, slopes * rates[:, None])
        self._counts.index_fill_(0, rows, 0)


def chunks(starts: NDArray[np.int64], places: NDArray[np.int64]) -> Iterator[tuple[Any, Any, Any]]:
    """Yield some of the places of texts, where their words lie, and which of these places each word is of."""
    if not len(places):
        return
    lengths = starts[places + 1] - starts[places]
    ends = np.cumsum(lengths)
    cuts = np.unique(np.searchsorted(ends, np.arange(CHUNK_WORDS, ends[-1], CHUNK_WORDS)))
    for part in np.split(np.arange(len(places)), cuts):
        owners = np.repeat(np.arange(len(part), dtype=np.int32), lengths[part])
        inside = np.arange(len(owners)) - np.repeat(np.cumsum(lengths[part]) - lengths[part], lengths[part])
        yield places[part], starts[places[part]][owners] + inside, owners


def batches(ends: NDArray[np.int64], n: int, size: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield where mini-batches begin and end: of `size` members, fewer where they have more than `most` rows.

    Parameters
    ----------
    ends : ndarray, shape (n + 1,) or longer
        Rows before each member.
    """
    first = 0
    while first < n:
        last = int(np.searchsorted(ends, ends[first] + most, side="right")) - 1
        last = min(n, first + size, max(last, first + 1))
        yield first, last
        first = last
