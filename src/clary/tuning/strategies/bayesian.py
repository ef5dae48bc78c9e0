"""Bayesian search: a Gaussian process learns from what ran, and says where improvement is likely."""

from typing import Any, ClassVar

from clary.tuning import _optuna
from clary.tuning.study import Study, Trial, best

MOST_EVEN = 10
"""Most trials that are spread evenly before the model takes over."""
TAKEN_OVER = 3
"""Best combinations of the parents that a transfer tries first."""


class Bayesian:
    """Learns from finished trials, and allows for running ones."""

    name: ClassVar[str] = "Bayesian"
    learns: ClassVar[bool] = True

    def propose(self, study: Study, index: int) -> dict[str, str] | None:
        """Return where improvement is expected; None when every combination has been tried."""
        from clary.tuning._sampler import WarpedSampler  # noqa: PLC0415 - imports Optuna and SciPy

        names = [each.name for each in study.space.parameters]
        tried = {study.space.units(trial.values) for trial in study.trials}
        if len(tried) >= study.space.n_values:
            return None
        taken = _to_take_over(study)
        if index <= len(taken):
            return taken[index - 1]

        extra = _observed(study)
        n_even = 0 if extra else min(MOST_EVEN, max(4, len(names) + 1))
        sampler = WarpedSampler(
            study.space.parameters,
            study.seed,
            index,
            n_even=n_even,
            n_near=MOST_EVEN if extra else 0,
            extra=extra,
        )
        params = sampler.choose(_optuna.frozen(study), is_maximizing=study.is_maximizing)
        return study.space.values([params[name] for name in names])


def _observed(study: Study) -> list[tuple[dict[str, Any], float]]:
    """Return what the parents found, as observations of this job.

    A transfer's objectives are on a scale of their own: what counts is how they rank. They are moved and
    stretched to what this job has found so far.
    """
    own = [trial.objective for trial in study.trials if trial.objective is not None]
    found = []
    for parent in study.parents:
        known = [(study.space.units(trial.values), trial.objective) for trial in parent]
        pairs = [(units, value) for units, value in known if units is not None and value is not None]
        if not pairs:
            continue
        values = [value for _units, value in pairs]
        if study.is_transfer and own:
            values = _matched(values, own)
        names = [each.name for each in study.space.parameters]
        found += [
            (dict(zip(names, units, strict=True)), value)
            for (units, _value), value in zip(pairs, values, strict=True)
        ]
    return found


def _matched(values: list[float], own: list[float]) -> list[float]:
    """Return values with the middle, and from three on the width, of `own`."""
    middle, own_middle = sorted(values)[len(values) // 2], sorted(own)[len(own) // 2]
    width, own_width = max(values) - min(values), max(own) - min(own)
    ratio = own_width / width if len(own) > 2 and width > 0 and own_width > 0 else 1.0
    return [own_middle + (value - middle) * ratio for value in values]


def _to_take_over(study: Study) -> list[dict[str, str]]:
    """Return the parents' best combinations, which a transfer tries first: nothing of this job is known."""
    if not study.is_transfer:
        return []
    names = {each.name for each in study.space.parameters}
    taken: list[dict[str, str]] = []
    rest = [list(parent) for parent in study.parents]
    while len(taken) < TAKEN_OVER and any(rest):
        for parent in rest:
            found: Trial | None = best(parent, is_maximizing=study.is_maximizing)
            if found is None:
                parent.clear()
                continue
            parent.remove(found)
            values = {name: value for name, value in found.values.items() if name in names}
            units = study.space.units(values)
            if units is not None and values not in taken:
                taken.append(values)
    return taken[:TAKEN_OVER]


STRATEGY = Bayesian()
