"""Hyperparameters of DeepAR; standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from clary.toolkit.hyperlists import Sizes
from clary.toolkit.hyperparameters import (
    Categorical,
    Continuous,
    Hyperparameter,
    Integer,
    Recommended,
)

LIKELIHOODS = ("gaussian", "beta", "negative-binomial", "student-T", "deterministic-L1")
UNITS = ("M", "W", "D", "H", "min")
AUTO, IGNORE = "auto", "ignore"
_FREQUENCY = re.compile(rf"([0-9]*)({'|'.join(UNITS)})")


def frequency(text: str) -> tuple[int, str]:
    """Return how many of which unit: `5min` is (5, "min"); ValueError when it is none."""
    match = _FREQUENCY.fullmatch(text)
    n = int(match[1] or 1) if match else 0
    if match is None or not n:
        raise ValueError(text)
    return n, match[2]


@dataclass(frozen=True, kw_only=True)
class Frequency(Hyperparameter):
    """A step of time."""

    wanted: ClassVar[str] = f"an integer and one of {', '.join(UNITS)}, as 5min"

    def parse(self, text: str) -> str:
        """Read `H` or `5min`."""
        n, unit = frequency(text)
        return f"{n}{unit}"


@dataclass(frozen=True, kw_only=True)
class Quantiles(Hyperparameter):
    """Several numbers between 0 and 1."""

    wanted: ClassVar[str] = "a list of numbers in range (0, 1) such as [0.1, 0.5, 0.9]"

    def parse(self, text: str) -> tuple[float, ...]:
        """Read `[0.1, 0.5]`."""
        return tuple(float(each) for each in text.removeprefix("[").removesuffix("]").split(","))

    def admits(self, value: tuple[float, ...]) -> bool:
        """Say whether all are quantiles."""
        return all(0 < each < 1 for each in value)


HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    Integer(
        name="context_length",
        min=1,
        tunable=Recommended(min=1, max=200),
        doc="Points of time that the model sees before it forecasts.",
    ),
    Integer(name="epochs", min=1, tunable=Recommended(min=1, max=1000), doc="Passes over the data, at most."),
    Integer(name="prediction_length", min=1, doc="Points of time that are forecast."),
    Frequency(name="time_freq", doc="Step of time of all series: M, W, D, H, min, and multiples as 5min."),
    Sizes(
        name="cardinality",
        words=(AUTO, IGNORE, ""),
        default=AUTO,
        doc="Categories of each member of cat; auto counts them, ignore passes over cat.",
    ),
    Continuous(
        name="dropout_rate",
        min=0,
        below=1,
        default=0.1,
        tunable=Recommended(min=0, max=0.2),
        doc="Share of a layer's output that a step of training leaves out.",
    ),
    Integer(
        name="early_stopping_patience",
        min=1,
        default=None,
        doc="Epochs without progress after which training ends; the best model is kept.",
    ),
    Integer(
        name="embedding_dimension",
        min=1,
        default=10,
        tunable=Recommended(min=1, max=50),
        doc="Numbers that stand for a category.",
    ),
    Continuous(
        name="learning_rate",
        above=0,
        default=0.001,
        tunable=Recommended(min=1e-5, max=0.1, scale="Logarithmic"),
        doc="Length of the optimiser's steps at the beginning; it falls along a cosine.",
    ),
    Categorical(
        name="likelihood",
        choices=LIKELIHOODS,
        default="student-T",
        doc="Noise: gaussian for real numbers, beta for those between 0 and 1, negative-binomial for counts, "
        "student-T for bursts, deterministic-L1 for a forecast without uncertainty.",
    ),
    Integer(
        name="mini_batch_size",
        min=1,
        default=128,
        tunable=Recommended(min=32, max=1028),
        doc="Windows of a step, over all hosts.",
    ),
    Integer(
        name="num_cells",
        min=1,
        default=40,
        tunable=Recommended(min=30, max=200),
        doc="Cells of each layer.",
    ),
    Integer(
        name="num_dynamic_feat",
        min=1,
        words=(AUTO, IGNORE, ""),
        default=AUTO,
        doc="Series of dynamic_feat; auto counts them, ignore passes over them.",
    ),
    Integer(
        name="num_eval_samples", min=1, default=100, doc="Paths drawn for each series of the test channel."
    ),
    Integer(
        name="num_layers", min=1, default=2, tunable=Recommended(min=1, max=8), doc="Layers of the network."
    ),
    Quantiles(
        name="test_quantiles",
        default=tuple(number / 10 for number in range(1, 10)),
        doc="Quantiles whose loss is measured on the test channel.",
    ),
)
