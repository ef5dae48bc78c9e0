"""A channel's rows on a GPU: tensors, which `_moments` adds up there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.algorithms._feed import Feed
    from clary.algorithms._gpu import Gpu


class Rows:
    """Blocks of rows, pass after pass; those of the first stay on the device while they fit."""

    def __init__(self, gpu: Gpu, feed: Feed, n_passes: int) -> None:
        """Read nothing yet."""
        self._gpu = gpu
        self._feed = feed
        self._room = gpu.room() if n_passes > 1 else 0
        self._kept: list[Any] | None = []
        self._is_whole = False

    def blocks(self) -> Iterator[Any]:
        """Yield tensors of one pass, each of which travels once."""
        if self._is_whole and self._kept is not None:
            yield from self._kept
            return
        for table in self._feed.blocks():
            rows = self._gpu.put(table.features)
            if not self._is_whole:
                self._keep(rows)
            yield rows
        self._is_whole = True
        if self._kept is not None:
            self._feed.forget()

    def _keep(self, rows: Any) -> None:
        self._room -= rows.nbytes
        if self._room < 0:
            self._kept = None
        elif self._kept is not None:
            self._kept.append(rows)


def squares(values: Any) -> Any:
    """Return the sum of squares, in double precision."""
    return values.double().square().sum()
