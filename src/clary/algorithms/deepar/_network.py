"""The network: past values, calendar and categories in, parameters of the noise out, step by step.

lags ─┬──────────▶ their weighted mean ──▶ + ─┬─▶ one of these places, and noise around it
      ├──────────▶ last known seasons ────────┤             ▲
      │                   weights ▲           ▲             │ chances, spread
calendar, age, scale, dynamic ─▶ LSTM ────────┴─────────────┘
categories ─▶ vectors ─┘
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from clary.algorithms.deepar._clock import Clock
from clary.algorithms.deepar._likelihood import LIKELIHOODS, Likelihood
from clary.algorithms.deepar._mixture import Said
from clary.kernel.errors import CustomerError

import torch  # isort: skip - after ours, which say how to install it

_NEVER = -1e4
"""The logarithm of no chance."""
_FIRST_WEIGHT = 4.0
"""How much more the last season weighs at the beginning, as a logarithm; those before, less and less."""
MOST_SEASONS = 4
"""Last known seasons whose values are places of their own."""
_FIRST_CHANCES = (0.0, 1.0, 0.7, 0.5, 0.3)
"""Logarithms, of the weighted mean and of seasons, at the beginning."""
_FIRST_SPREADS = (0.5, 0.5, 0.05, 0.2)
"""At the beginning, by each of `Network._spreads`."""
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


@cache
def _has_bfloat16() -> bool:
    """Say whether this processor multiplies in bfloat16 quicker than in float32: training then does."""
    return bool(torch.cpu._is_avx512_bf16_supported())


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
        self.lstm = torch.nn.LSTM(width, cells, shape.num_layers, batch_first=True)
        self._dropout, self.bits = dropout, np.random.PCG64(torch.initial_seed())
        self.outputs = torch.nn.Linear(cells, self.likelihood.n_outputs)
        self.weights = torch.nn.Linear(cells, len(lags))
        self._seasons = [place for place, lag in enumerate(lags) if lag % shape.clock.season == 0] or [0]
        n_places = 1 + min(len(self._seasons), MOST_SEASONS)
        self.chances = torch.nn.Linear(cells, n_places)
        self.spreads = torch.nn.Parameter(torch.log(torch.tensor([_FIRST_SPREADS, _FIRST_SPREADS])))
        with torch.no_grad():
            for each in (self.outputs, self.weights, self.chances):
                each.weight.mul_(0.1)
                each.bias.zero_()
            self.chances.bias += torch.tensor(_FIRST_CHANCES[:n_places])
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

    @property
    def heads(self) -> list[torch.nn.Parameter]:
        """What is said of every step alike: few numbers, which learn faster than the others."""
        return [self.spreads, *(each.bias for each in (self.outputs, self.weights, self.chances))]

    def forward(
        self, lags: torch.Tensor, is_there: torch.Tensor, features: torch.Tensor, scale: torch.Tensor
    ) -> Said:
        """Run over steps.

        Parameters
        ----------
        lags : Tensor, shape (n_series, n_steps, n_lags)
            Past values by their scale, 0 where there is none.
        is_there : Tensor, shape (n_series, n_steps, n_lags)
            Where there is one.
        features : Tensor, shape (n_series, n_steps, n_features)
        scale : Tensor, shape (n_series, 1)
        """
        hidden = torch.cat((lags, features), -1)
        start = (hidden.new_zeros(1, lags.shape[0], self.shape.num_cells),) * 2
        is_half = lags.dtype == torch.float32 and _has_bfloat16() and not torch.jit.is_tracing()
        for weights in self.lstm.all_weights:  # a layer at a time: dropout between them is ours
            with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
                hidden = torch.lstm(hidden, start, weights, True, 1, 0.0, self.training, False, True)[0]
            hidden = self._dropped(hidden.to(lags.dtype))
        return self.said(hidden, lags, is_there, scale)

    def _dropped(self, values: torch.Tensor) -> torch.Tensor:
        """Leave out numbers by chance, of 16 random bits each: torch's own draws take a tenth of a step."""
        if not self.training or not self._dropout:
            return values
        n_values = values.numel()
        drawn = self.bits.random_raw(-(-n_values // 4)).view(np.uint16)[:n_values]
        is_kept = torch.from_numpy(drawn >= round(self._dropout * (1 << 16))).view(values.shape)
        return values * is_kept.to(values.device, values.dtype).div_(1 - self._dropout)

    def said(
        self, hidden: torch.Tensor, lags: torch.Tensor, is_there: torch.Tensor, scale: torch.Tensor
    ) -> Said:
        """Return what is said of steps by what the recurrent layers say of them."""
        weights, chances, outputs = self._heads(hidden)
        weights = torch.softmax(weights.masked_fill(~is_there, _NEVER), -1)
        mean = (weights * lags).sum(-1, keepdim=True)
        places, is_known = self._last(lags, is_there)
        chances = torch.cat((chances[..., :1], chances[..., 1:].masked_fill(~is_known, _NEVER)), -1)
        chances = torch.log_softmax(chances, -1)
        with torch.no_grad():  # how far lags are apart is seen, not learned
            apart = (weights * (lags - mean).abs()).sum(-1, keepdim=True)
        spreads = self._spreads(places, is_known, apart, scale)
        places = torch.cat((mean, places), -1)
        if self.likelihood.is_certain:
            places = (chances.exp() * places).sum(-1, keepdim=True)
            chances = torch.zeros_like(places)
        return Said(self.likelihood.parameters(outputs, places, spreads), chances)

    def _heads(self, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what weights, chances and outputs say: in one product."""
        heads = (self.weights, self.chances, self.outputs)
        matrix, bias = torch.cat([each.weight for each in heads]), torch.cat([each.bias for each in heads])
        found = torch.nn.functional.linear(hidden, matrix, bias)
        return tuple(found.split([len(each.bias) for each in heads], -1))

    def _last(self, lags: torch.Tensor, is_there: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the values of the last seasons that are known, the last first, and where there are any."""
        seasons, is_known = lags[..., self._seasons], is_there[..., self._seasons]
        if torch.jit.is_tracing():  # ONNX has no sort that keeps the order
            n = len(self._seasons)
            order = (is_known.to(torch.int64) * n - torch.arange(n)).topk(min(n, MOST_SEASONS)).indices
        else:
            order = torch.argsort((~is_known).to(torch.int8), dim=-1, stable=True)[..., :MOST_SEASONS]
        return seasons.gather(-1, order), is_known.gather(-1, order)

    def _spreads(
        self, places: torch.Tensor, is_known: torch.Tensor, apart: torch.Tensor, scale: torch.Tensor
    ) -> torch.Tensor:
        """Return typical distances from each place, of lags', of seasons', of a constant and of one count."""
        n_known = is_known.sum(-1, keepdim=True)
        away = ((places - places[..., :1]).abs() * is_known).sum(-1, keepdim=True) / n_known.clamp(min=1)
        away = torch.where(n_known > 0, away, 1.0)
        one = 1 / scale[..., None] if self.shape.is_whole else torch.zeros_like(scale)[..., None]
        seen = torch.cat((apart, away, torch.ones_like(away), one.expand_as(away)), -1)
        first, others = (seen @ torch.exp(self.spreads).T)[..., None].unbind(-2)
        return torch.cat((first, others.expand_as(places)), -1)
