"""The network as ONNX: a series' past and the calendar in, what is said of the steps ahead out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clary.algorithms import _torch

import torch  # isort: skip

if TYPE_CHECKING:
    from pathlib import Path

    from clary.algorithms.deepar._network import Network


class Forecast(torch.nn.Module):  # type: ignore[misc]  # torch is an extra
    """What the network says of the steps behind series' ends."""

    index: torch.Tensor
    steps: torch.Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, shape = network, network.shape
        steps = np.arange(shape.context_length + shape.prediction_length)
        index = shape.n_past - shape.context_length + steps[:, None] - np.array(shape.lags)
        self.register_buffer("steps", torch.from_numpy(steps - shape.context_length).float())
        self.register_buffer("index", torch.from_numpy(np.minimum(index, shape.n_past)))

    def forward(
        self,
        past: torch.Tensor,
        length: torch.Tensor,
        calendar: torch.Tensor,
        dynamic: torch.Tensor,
        categories: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Forecast.

        Parameters
        ----------
        past : Tensor, shape (n_series, n_past)
            Float32, the last values; NaN where one is missing, or the series had not begun.
        length : Tensor, shape (n_series,)
            Float32, values of the whole series.
        calendar : Tensor, shape (n_series, context_length + prediction_length, n_features)
        dynamic : Tensor, shape (n_series, context_length + prediction_length, num_dynamic_feat)
        categories : Tensor, shape (n_series, n_categorical_features), int64

        Returns
        -------
        mean, chances, scale and the likelihood's parameters : Tensor
            Of each step ahead; parameters are by `scale`, and the last axis is the places.
        """
        known = ~torch.isnan(past)
        values = torch.where(known, past, torch.zeros_like(past))
        ends = slice(-self.network.shape.context_length, None)
        scale = self.network.scale(values[:, ends], known[:, ends])
        hidden = torch.zeros_like(values[:, :1])  # what comes is not known
        lags = torch.cat((values, hidden), 1)[:, self.index] / scale[..., None]
        is_there = torch.cat((known, hidden > 0), 1)[:, self.index]
        age = length[:, None] + self.steps
        features = self.network.features(calendar, age, scale, dynamic, categories)
        said = self.network(lags, is_there, features, scale).since(self.network.shape.context_length)
        chances = torch.exp(said.chances)
        mean = (chances * self.network.likelihood.mean(scale[..., None], said.parameters)).sum(-1)
        return mean, chances, scale, *said.parameters


def write(path: Path, network: Network) -> None:
    """Write it; the number of series is open."""
    shape = network.shape
    n_steps = shape.context_length + shape.prediction_length
    given = (
        torch.ones(2, shape.n_past),
        torch.full((2,), float(shape.n_past)),
        torch.zeros(2, n_steps, shape.clock.n_features),
        torch.zeros(2, n_steps, shape.num_dynamic_feat),
        torch.zeros(2, len(shape.cardinality), dtype=torch.int64),
    )
    graph = Forecast(network.cpu().float().eval())
    outputs = ["mean", "chances", "scale", *network.likelihood.names]
    _torch.export_onnx(path, graph, given, ("past", "length", "calendar", "dynamic", "categories"), outputs)
