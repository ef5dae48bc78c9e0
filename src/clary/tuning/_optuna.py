"""Optuna behind the strategies: its trials, made from those of the store for every choice.

Optuna is imported when the first strategy needs it (0.2 s), never when the server starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.tuning.space import Parameter, Space
from clary.tuning.study import Study, Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna


def distributions(space: Space) -> dict[str, Any]:
    """Return the space as Optuna's distributions: numbers in [0, 1], categories by their place."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution  # noqa: PLC0415 - when needed

    def one(parameter: Parameter) -> Any:
        if parameter.kind == "Categorical":
            return CategoricalDistribution(tuple(range(len(parameter.values))))
        return FloatDistribution(0.0, 1.0)

    return {each.name: one(each) for each in space.parameters}


def frozen(study: Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials as Optuna has them, running ones among them, without those outside of the space."""
    spread = distributions(study.space)
    found = (_frozen(trial, study.space, spread) for trial in study.trials)
    return [each for each in found if each is not None]


def drawer(study: Study, seed: int) -> Callable[[], dict[str, str]]:
    """Return a function that draws points at random."""
    import optuna  # noqa: PLC0415 - when needed

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    spread = distributions(study.space)
    names = [each.name for each in study.space.parameters]

    def draw() -> dict[str, str]:
        params = asked.ask(spread).params
        return study.space.values([params[name] for name in names])

    return draw


def _frozen(trial: Trial, space: Space, spread: dict[str, Any]) -> Any:
    """Return a trial as Optuna has it; None for one outside of the space."""
    from optuna.trial import TrialState, create_trial  # noqa: PLC0415 - when needed

    units = space.units(trial.values)
    if units is None:
        return None
    is_category = [each.kind == "Categorical" for each in space.parameters]
    params = {
        each.name: int(unit) if category else unit
        for each, unit, category in zip(space.parameters, units, is_category, strict=True)
    }
    if trial.is_running:
        return create_trial(state=TrialState.RUNNING, params=params, distributions=spread)
    if trial.objective is None:
        return create_trial(state=TrialState.FAIL, params=params, distributions=spread)
    return create_trial(state=TrialState.COMPLETE, params=params, distributions=spread, value=trial.objective)
