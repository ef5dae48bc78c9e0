"""A tuning job's request read as a whole: definitions with their objectives, ranges and fixed values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.tuning import stopping
from clary.tuning.space import Space

EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
"""Static hyperparameters that tell Hyperband the longest trial. Source: API reference,
HyperbandStrategyConfig."""
BUILT_IN_EPOCHS = ("num_round",)
"""Those of our own algorithms beside them."""


@dataclass(frozen=True)
class Definition:
    """One kind of training that a tuning job launches."""

    document: Mapping[str, Any]
    """As the request, completed, has it."""
    objective: Mapping[str, str]
    """`Type` and `MetricName`."""
    ranges: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its `DefinitionName`; empty where the job has one definition without a name."""
        return str(self.document.get("DefinitionName", ""))

    @property
    def static(self) -> Mapping[str, str]:
        """Hyperparameters that every trial has."""
        return self.document.get("StaticHyperParameters") or {}

    @property
    def space(self) -> Space:
        """What is searched."""
        return Space.from_ranges(self.ranges)

    @property
    def is_maximizing(self) -> bool:
        """Whether the greatest objective is best."""
        return self.objective["Type"] == "Maximize"


def definitions(document: Mapping[str, Any]) -> list[Definition]:
    """Return the definitions of a completed tuning job's document."""
    config = document["HyperParameterTuningJobConfig"]
    listed = document.get("TrainingJobDefinitions") or [document["TrainingJobDefinition"]]
    return [
        Definition(
            each,
            each.get("TuningObjective") or config["HyperParameterTuningJobObjective"],
            each.get("HyperParameterRanges") or config.get("ParameterRanges") or {},
        )
        for each in listed
    ]


def resources_of(document: Mapping[str, Any]) -> tuple[int, int]:
    """Return Hyperband's least and longest trial, in values of the objective.

    Raises
    ------
    ValueError
        Nothing tells the longest.
    """
    strategy = document["HyperParameterTuningJobConfig"].get("StrategyConfig") or {}
    given = strategy.get("HyperbandStrategyConfig") or {}
    longest = given.get("MaxResource")
    for definition in definitions(document):
        for key in (*EPOCHS, *BUILT_IN_EPOCHS):
            text = str(definition.static.get(key, "")).strip('"')
            if longest is None and text.isdigit():
                longest = int(text)
    if longest is None:
        raise ValueError("MaxResource")
    return int(given.get("MinResource", stopping.least_resource(int(longest)))), int(longest)
