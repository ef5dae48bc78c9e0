"""The network: past values, calendar and categories in, parameters of the noise out, step by step.

lags ─┬─────────────────────────▶ their weighted mean ──▶ + ─▶ likelihood
      │                                weights ▲          ▲
calendar, age, scale, dynamic ─▶ LSTM ─────────┴──────────┘
categories ─▶ vectors ─┘
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from clary.algorithms.deepar._clock import Clock
from clary.algorithms.deepar._likelihood import LIKELIHOODS, Likelihood
from clary.kernel.errors import CustomerError

import torch  # isort: skip - after ours, which say how to install it

if TYPE_CHECKING:
    Parameters = tuple[torch.Tensor, ...]

_FIRST_WEIGHT = 4.0
"""How much more the last season weighs at the beginning, as a logarithm; those before, less and less."""
N_OWN = 2
"""Features beside the calendar's: age and scale."""


@dataclass(frozen=True)
class Shape:
    """What a network is built from."""

    time_freq: str
    context_length: int
    prediction_length: int
    likelihood: str
    num_cells: int
    num_layers: int
    embedding_dimension: int
    cardinality: tuple[int, ...]
    num_dynamic_feat: int
    lags: tuple[int, ...]
    """Steps back at which the past is seen, rising."""
    has_year: bool
    """Whether the calendar says the time of year."""
    is_whole: bool
    """Whether a smooth likelihood is one of whole numbers: blurred in training, and draws rounded."""

    @classmethod
    def of(cls, text: str) -> Shape:
        """Read what `str` spells; CustomerError where it is none."""
        try:
            members: dict[str, Any] = json.loads(text)
            lists = {name: tuple(members[name]) for name in ("cardinality", "lags")}
            return cls(**{**members, **lists})
        except (ValueError, TypeError, KeyError) as error:
            raise CustomerError(f"Unable to load model: its shape is not DeepAR's ({error})") from error

    def __str__(self) -> str:
        """Spell it as JSON."""
        return json.dumps(asdict(self))

    @cached_property
    def clock(self) -> Clock:
        """The step of time."""
        return Clock(self.time_freq, self.has_year)

    @property
    def n_past(self) -> int:
        """Steps before a forecast that count."""
        return self.context_length + self.lags[-1]


class Network(torch.nn.Module):  # type: ignore[misc]  # torch is an extra
    """Recurrent layers over steps, with weights of lags beside them."""

    typical_scale: torch.Tensor
    path_correlation: torch.Tensor
    dynamic_mean: torch.Tensor
    dynamic_scale: torch.Tensor

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.likelihood: Likelihood = LIKELIHOODS[shape.likelihood]
        lags, cells = shape.lags, shape.num_cells
        width = (
            len(lags)
            + shape.clock.n_features
            + N_OWN
            + shape.num_dynamic_feat
            + len(shape.cardinality) * shape.embedding_dimension
        )
        self.embeddings = torch.nn.ModuleList(
            torch.nn.Embedding(n_categories, shape.embedding_dimension) for n_categories in shape.cardinality
        )
        self.lstm = torch.nn.LSTM(
            width,
            cells,
            shape.num_layers,
            batch_first=True,
            dropout=dropout if shape.num_layers > 1 else 0.0,
        )
        self.dropout = torch.nn.Dropout(dropout)
        self.outputs = torch.nn.Linear(cells, self.likelihood.n_outputs)
        self.weights = torch.nn.Linear(cells, len(lags))
        with torch.no_grad():
            for each in (self.outputs, self.weights):
                each.weight.mul_(0.1)
                each.bias.zero_()
            for place, lag in enumerate(lags):
                if lag % shape.clock.season == 0:
                    self.weights.bias[place] = _FIRST_WEIGHT - 0.5 * math.log(lag / shape.clock.season)
        self.register_buffer("typical_scale", torch.ones(()))
        self.register_buffer("path_correlation", torch.zeros(()))
        self.register_buffer("dynamic_mean", torch.zeros(shape.num_dynamic_feat))
        self.register_buffer("dynamic_scale", torch.ones(shape.num_dynamic_feat))

    def scale(self, values: torch.Tensor, is_there: torch.Tensor) -> torch.Tensor:
        """Return the mean size of series' values, shape (n_series, 1); the data's where there are none."""
        if not self.likelihood.has_scale:
            return torch.ones_like(values[:, :1])
        size = (values.abs() * is_there).sum(1, keepdim=True) / is_there.sum(1, keepdim=True).clamp(min=1)
        return torch.where(size > 0, size, self.typical_scale.to(size.dtype))

    def features(
        self,
        calendar: torch.Tensor,
        age: torch.Tensor,
        scale: torch.Tensor,
        dynamic: torch.Tensor,
        categories: torch.Tensor,
    ) -> torch.Tensor:
        """Put together what is known of steps beside their past.

        Parameters
        ----------
        calendar : Tensor, shape (n_series, n_steps, n_features)
        age : Tensor, shape (n_series, n_steps)
            Steps since the series began; what lies before counts as 0.
        scale : Tensor, shape (n_series, 1)
        dynamic : Tensor, shape (n_series, n_steps, num_dynamic_feat)
        categories : Tensor, shape (n_series, n_categorical_features), int64
        """
        n_steps = calendar.shape[1]
        parts = [
            calendar,
            torch.log10(age.clamp(min=0) + 2)[..., None] / 2,
            torch.log10(scale)[..., None].expand(-1, n_steps, 1) / 2,
            (dynamic - self.dynamic_mean) / self.dynamic_scale,
        ]
        parts += [
            table(categories[:, place])[:, None].expand(-1, n_steps, -1)
            for place, table in enumerate(self.embeddings)
        ]
        return torch.cat(parts, -1)

    def forward(self, lags: torch.Tensor, is_there: torch.Tensor, features: torch.Tensor) -> Parameters:
        """Run over steps.

        Parameters
        ----------
        lags : Tensor, shape (n_series, n_steps, n_lags)
            Past values by their scale, 0 where there is none.
        is_there : Tensor, shape (n_series, n_steps, n_lags)
            Where there is one.
        features : Tensor, shape (n_series, n_steps, n_features)

        Returns
        -------
        tuple of Tensor, shape (n_series, n_steps)
            Parameters of the likelihood.
        """
        hidden = self.dropout(self.lstm(torch.cat((lags, features), -1))[0])
        weights = torch.softmax(self.weights(hidden).masked_fill(~is_there, -1e4), -1)
        return self.likelihood.parameters(self.outputs(hidden), (weights * lags).sum(-1))
