"""Series behind each other in one array, and windows of them: what training and forecasts see."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import torch  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from clary.algorithms.deepar._network import Network, Shape
    from clary.algorithms.deepar._series import Series


class Steps(NamedTuple):
    """What the network reads of some windows."""

    lags: torch.Tensor
    is_there: torch.Tensor
    features: torch.Tensor
    values: torch.Tensor
    """Shape (n_windows, n_steps); 0 where there is none."""
    counts: torch.Tensor
    """Where there is one."""
    scale: torch.Tensor
    """Shape (n_windows, 1)."""

    def since(self, step: int, every: int = 1) -> Steps:
        """Return it without the steps before, and of the others each `every`th."""
        lags, is_there, features, values, counts = (each[:, step::every] for each in self[:-1])
        return Steps(lags, is_there, features, values, counts, self.scale)


class Windows:
    """Series of one channel or request."""

    def __init__(self, series: Sequence[Series], shape: Shape) -> None:
        self._shape = shape
        self._before, self._after = shape.n_past, shape.prediction_length
        lengths = np.array([len(each) for each in series])
        self.lengths = lengths
        self._starts = np.cumsum([0, *(lengths + self._before + self._after)])[:-1] + self._before
        n_values = int(lengths.sum()) + len(series) * (self._before + self._after)
        self.values = np.zeros(n_values, np.float32)
        self.is_there = np.zeros(n_values, bool)
        self._dynamic = np.zeros((n_values, shape.num_dynamic_feat), np.float32)
        for each, start in zip(series, self._starts, strict=True):
            there = ~np.isnan(each.target)
            part = slice(start, start + len(each))
            self.values[part][there] = each.target[there]
            self.is_there[part] = there
            if shape.num_dynamic_feat and each.dynamic is not None:
                known = each.dynamic[:, : len(each) + self._after].T
                self._dynamic[start : start + len(known)] = known
        self._places = np.array([each.place for each in series], np.int64)
        ends = self._places + shape.clock.after(0, 1) * (lengths + shape.prediction_length)
        self._first_place = int(self._places.min()) - shape.clock.after(0, shape.context_length)
        self._n_places = int(ends.max()) - self._first_place
        self._calendar: NDArray[np.float32] | None = None
        n_cats = len(shape.cardinality)
        self._categories = np.array([each.cat[:n_cats] for each in series], np.int64).reshape(
            len(series), n_cats
        )

    @property
    def held(self) -> NDArray[np.bool_]:
        """Which series are long enough that their ends can be kept from training, to choose a network by."""
        return self.lengths >= self._shape.context_length + 2 * self._shape.prediction_length

    def __len__(self) -> int:
        return len(self.lengths)

    def steps(self, network: Network, which: NDArray[np.int64], at: NDArray[np.int64], n_steps: int) -> Steps:
        """Return windows that begin a context before a forecast.

        Parameters
        ----------
        which, at : ndarray, shape (n_windows,)
            A series, and the step of it that is the first to be forecast.
        n_steps : int
            Steps of a window, context included.
        """
        weight = next(network.parameters())
        first = at - self._shape.context_length
        begun = self._starts[which] + first
        lags = np.array(self._shape.lags)
        past = begun[:, None] - lags
        values, is_there = (sliding_window_view(each, n_steps) for each in (self.values, self.is_there))
        context = slice(self._shape.context_length)

        def put(values: NDArray[np.generic]) -> torch.Tensor:
            found = torch.from_numpy(np.ascontiguousarray(values)).to(weight.device)
            return found.to(weight.dtype) if found.is_floating_point() else found

        scale = network.scale(put(values[begun, context]), put(is_there[begun, context]))
        places = self._shape.clock.after(0, 1) * first + self._places[which]
        age = (first[:, None] + np.arange(n_steps)).astype(np.float32)
        features = network.features(
            put(self._calendar_of(places, n_steps)),
            put(age),
            scale,
            put(self._dynamic[begun[:, None] + np.arange(n_steps)]),
            put(self._categories[which]),
        )
        is_before = np.arange(n_steps) < self._shape.context_length + lags[:, None]
        is_known = put(is_there[past] & is_before).transpose(1, 2).contiguous()
        seen = put(values[past]).transpose(1, 2).where(is_known, 0.0) / scale[..., None]
        return Steps(seen, is_known, features, put(values[begun]), put(is_there[begun]), scale)

    def _calendar_of(self, places: NDArray[np.int64], n_steps: int) -> NDArray[np.float32]:
        """Return what the calendar says: of all places once, where few windows ask for as many."""
        clock = self._shape.clock
        if self._calendar is None and self._n_places <= 4 * len(places) * n_steps:
            self._calendar = clock.features(self._first_place + np.arange(self._n_places), 1)[:, 0]
        if self._calendar is None:
            return clock.features(places, n_steps)
        steps = (places - self._first_place)[:, None] + clock.after(0, 1) * np.arange(n_steps)
        return np.asarray(self._calendar[steps])
