"""The models of one pass: one as asked for, the others near it; what the service tries is not documented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms.linear_learner._hyperparameters import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.toolkit.hyperparameters import Params

N_MODELS = 32
MOST_COLUMNS = 640
"""Models times classes that `num_models` auto keeps within."""
RATES = {"adam": 0.02, "rmsprop": 0.005, "sgd": 0.02}
"""Step sizes that `learning_rate` auto means."""
FACTORS = (1.0, 0.5, 2.0, 0.2, 5.0, 0.1, 3.0, 0.05)
"""Of the step size, over the models."""
WEIGHTS = ((0.0, 0.0), (1e-5, 0.0), (1e-3, 0.0), (0.0, 1e-4))
"""`wd` and `l1`, where both are auto."""


@dataclass(frozen=True)
class Grid:
    """The models, each array of shape (n_models,)."""

    optimizer: str
    rates: NDArray[np.float32]
    wd: NDArray[np.float32]
    l1: NDArray[np.float32]
    is_balanced: NDArray[np.bool_]
    """Whether positive rows weigh as much as all negative ones."""

    @property
    def n_models(self) -> int:
        """Models."""
        return len(self.rates)


def grid(params: Params) -> Grid:
    """Return the models that hyperparameters ask for."""
    optimizer = "adam" if params["optimizer"] == "auto" else params.text("optimizer")
    n_models = _n_models(params)
    numbers = np.arange(n_models)
    rate = params["learning_rate"]
    base = RATES[optimizer] if rate == "auto" else float(rate)
    turns = numbers // len(FACTORS)
    rates = base * np.array(FACTORS)[numbers % len(FACTORS)] * 1.3 ** (turns // len(WEIGHTS))
    wd, l1 = zip(*(_weights(params, int(turn)) for turn in turns % len(WEIGHTS)), strict=True)
    given = params["positive_example_weight_mult"]
    is_balanced = numbers % 2 == 1 if given == "auto" else np.full(n_models, given == "balanced")
    return Grid(
        optimizer, rates.astype(np.float32), np.array(wd, np.float32), np.array(l1, np.float32), is_balanced
    )


def _n_models(params: Params) -> int:
    if params.get("_tuning_objective_metric"):
        return 1  # tuning has the models compared
    given: Any = params["num_models"]
    if given != "auto":
        return int(given)
    if params.text("predictor_type") != CLASSES:
        return N_MODELS
    return max(1, min(N_MODELS, MOST_COLUMNS // params.int("num_classes")))


def _weights(params: Params, turn: int) -> tuple[float, float]:
    """Return `wd` and `l1` of a turn; what was given is kept in the first and varied near in the others."""
    found = []
    for place, name in enumerate(("wd", "l1")):
        given = params[name]
        found.append(WEIGHTS[turn][place] if given == "auto" else float(given) * (1, 0.3, 3, 0.1)[turn])
    return found[0], found[1]
