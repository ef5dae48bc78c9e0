"""The arithmetic of `_lloyd` on a GPU: rows, centres and sums are tensors there until they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu

ROWS, SCORES = 16_384, 1 << 27
"""Rows of a block, and scores that it has at most: 512 MiB, and as much for the choice of centres."""
WHOLE = float(1 << 53)
"""Probabilities are whole numbers of this one's parts: their running sums do not depend on an order."""
TINY = float(np.finfo(np.float64).tiny)
"""Divides where there is nothing to divide."""


class Sums:
    """What a pass over rows leaves of every centre, on the device; see `_lloyd.Sums`."""

    def __init__(self, gpu: Gpu, centres: Any) -> None:
        self._gpu = gpu
        self._centres = placed(gpu, centres)
        self._norms = squares(self._centres)
        self._numbers = gpu.put(np.arange(len(centres))[:, None])
        double = gpu.torch.float64
        self.total = gpu.torch.zeros_like(self._centres, dtype=double)
        self.weight = gpu.torch.zeros_like(self._norms, dtype=double)
        self.loss = gpu.torch.zeros_like(self._norms, dtype=double)

    def add(self, rows: Any, weights: Any = None, lengths: Any = None) -> None:
        """Add rows to the sums of their nearest centres: tensors, or an array that travels once."""
        rows, k, towards = placed(self._gpu, rows), len(self._centres), -2.0 * self._centres.T
        size = min(ROWS, max(1, SCORES // k))
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            block = rows[part]
            scores, labels = (block @ towards).add_(self._norms).min(dim=1)
            distances = (scores + (squares(block) if lengths is None else lengths[part])).clamp_(min=0)
            chooser = (labels == self._numbers).to(block.dtype)
            if weights is not None:
                distances *= weights[part]
                chooser *= weights[part]
            self.total += chooser @ block  # a product, not additions by place: one order, and all cores
            self.weight += chooser.sum(dim=1, dtype=self.weight.dtype)
            self.loss.index_add_(0, labels, distances.double())

    def means(self) -> Any:
        """Return the means of every centre's rows; a centre without rows stays."""
        means = (self.total / self.weight.clamp(min=TINY)[:, None]).float()
        return self._gpu.torch.where((self.weight > 0)[:, None], means, self._centres)

    def taken(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return sums of rows, weights and losses."""
        return self._gpu.take(self.total), self._gpu.take(self.weight), self._gpu.take(self.loss)


def placed(gpu: Gpu, values: Any) -> Any:
    """Return an array as a tensor on the device; a tensor is there, and None stays."""
    return gpu.put(values) if isinstance(values, np.ndarray) else values


def squares(rows: Any) -> Any:
    """Return every row's squared length."""
    return (rows * rows).sum(dim=1)


def apart(gpu: Gpu, rows: Any, weights: Any, first: int, draws: NDArray[np.float64]) -> Any:
    """Return rows that are far from each other, as `_lloyd` chooses them; nothing is asked of the device."""
    torch, lengths, uniform = gpu.torch, squares(rows), gpu.put(draws)
    chosen = torch.full((len(draws) + 1,), first, dtype=torch.int64, device=gpu.device)
    closest = _from(rows, lengths, chosen[:1])[0]
    for number in range(1, len(chosen)):
        mass = (closest if weights is None else closest * weights).double()
        ladder = (mass / mass.sum().clamp(min=TINY) * WHOLE).long().cumsum(dim=0).double()
        candidates = torch.searchsorted(ladder, uniform[number - 1] * ladder[-1]).clamp_(max=len(rows) - 1)
        distances = torch.minimum(_from(rows, lengths, candidates), closest)
        losses = distances.sum(dim=1) if weights is None else distances @ weights
        best = losses.argmin(dim=0, keepdim=True)
        chosen[number : number + 1], closest = candidates[best], distances[best][0]
    return rows[chosen]


def _from(rows: Any, lengths: Any, chosen: Any) -> Any:
    """Return squared distances of all rows from some of them, shape (n_chosen, n_rows)."""
    distances = (-2.0 * rows[chosen]) @ rows.T
    return distances.add_(lengths).add_(lengths[chosen][:, None]).clamp_(min=0)


class Stream:
    """Centres that follow mini-batches, on the device; see `_lloyd.Stream`."""

    def __init__(self, gpu: Gpu, centres: NDArray[np.float32], half_life: int = 0) -> None:
        """Begin where nothing was seen yet."""
        self._gpu, self._half_life = gpu, half_life
        self._centres: Any = gpu.put(centres)
        self._weight: Any = gpu.put(np.zeros(len(centres)))

    def add(self, rows: NDArray[np.float32]) -> Any:
        """Move the centres by one mini-batch; return its squared distances' sum, a tensor of one number."""
        sums = Sums(self._gpu, self._centres)
        sums.add(rows)
        if self._half_life:
            self._weight *= 0.5 ** (len(rows) / self._half_life)
        self._weight += sums.weight
        share = (sums.weight / self._weight.clamp(min=TINY))[:, None]
        self._centres = ((1 - share) * self._centres + share * sums.means()).float()
        return sums.loss.sum()

    def state(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the centres, and what each has seen."""
        return self._gpu.take(self._centres), self._gpu.take(self._weight)

    def restore(self, centres: NDArray[np.float32], weight: NDArray[np.float64]) -> None:
        """Go on from a state."""
        self._centres, self._weight = self._gpu.put(centres), self._gpu.put(weight)
