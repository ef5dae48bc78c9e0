"""Strategies: what each proposes, repeatably."""

from typing import Any

import numpy as np
import pytest

from clary.kernel import registry
from clary.tuning import _gaussian
from clary.tuning._sampler import log_improvement, standardised
from clary.tuning.space import Space
from clary.tuning.strategies import base
from clary.tuning.strategies.base import Strategy
from clary.tuning.study import Study, Trial, best

RANGES: dict[str, list[dict[str, Any]]] = {
    "ContinuousParameterRanges": [
        {"Name": "rate", "MinValue": "0.001", "MaxValue": "1", "ScalingType": "Logarithmic"}
    ],
    "IntegerParameterRanges": [{"Name": "depth", "MinValue": "1", "MaxValue": "6"}],
    "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}],
}
SPACE = Space.from_ranges(RANGES)
GRID = Space.from_ranges(
    {
        "CategoricalParameterRanges": [
            {"Name": "one", "Values": ["a", "b", "c"]},
            {"Name": "two", "Values": ["x", "y"]},
        ]
    }
)
ALL = [base.find(name) for name in registry.stems(base.PACKAGE)]


def loss(values):
    depth, rate = int(values.get("depth", 1)), float(values.get("rate", 0.1))
    return (depth - 3) ** 2 + (np.log10(rate) + 1) ** 2 + (values.get("kind") == "a")


def objective(trial: Trial | None) -> float:
    assert trial is not None
    assert trial.objective is not None
    return trial.objective


def run(strategy, n, *, space=SPACE, seed=1, **members):
    trials: list[Trial] = []
    for index in range(1, n + 1):
        values = strategy.propose(Study(space, False, seed, trials, **members), index)
        if values is None:
            break
        trials.append(Trial(index, values, float(loss(values))))
    return trials


@pytest.mark.parametrize("strategy", ALL, ids=lambda each: each.name)
def test_every_strategy_keeps_its_promises(strategy):
    space = GRID if strategy.name == "Grid" else SPACE
    assert isinstance(strategy, Strategy)
    assert base.find(strategy.name) is strategy
    first, again, other = (run(strategy, 6, space=space, seed=seed) for seed in (1, 1, 2))
    assert [each.values for each in first] == [each.values for each in again]
    assert [each.values for each in first] != [each.values for each in other]
    assert all(space.units(each.values) is not None for each in first)
    assert len({tuple(each.values.items()) for each in first}) == 6


@pytest.mark.parametrize("strategy", ALL, ids=lambda each: each.name)
def test_a_small_space_is_searched_through_and_then_over(strategy):
    trials = run(strategy, 20, space=GRID)
    assert len(trials) == 6
    assert len({tuple(each.values.items()) for each in trials}) == 6


def test_a_strategy_that_is_not_there_is_named():
    with pytest.raises(LookupError, match="'genetic' is not in"):
        base.find("Genetic")


def test_bayesian_search_finds_what_random_search_does_not():
    found = [
        np.median(
            [objective(best(run(base.find(name), 14, seed=seed), is_maximizing=False)) for seed in range(2)]
        )
        for name in ("Bayesian", "Random")
    ]
    assert found[0] < 0.5 * found[1]


def test_running_and_failed_trials_are_not_proposed_again():
    bayesian = base.find("Bayesian")
    done = run(bayesian, 8)
    values = bayesian.propose(Study(SPACE, False, 1, done), 9)
    assert values is not None
    running = Trial(9, values, None, is_running=True)
    second = bayesian.propose(Study(SPACE, False, 1, [*done, running]), 10)
    assert second is not None
    failed = Trial(10, second, None)
    third = bayesian.propose(Study(SPACE, False, 1, [*done, running, failed]), 11)
    assert third is not None
    assert len({tuple(each.items()) for each in (values, second, third)}) == 3


def test_a_warm_start_begins_near_the_parents_best():
    parent = run(base.find("Bayesian"), 11)
    best_of_parent = objective(best(parent, is_maximizing=False))
    child = run(base.find("Bayesian"), 4, seed=9, parents=[parent])
    assert objective(best(child, is_maximizing=False)) <= best_of_parent + 0.05
    moved = [Trial(each.index, each.values, 100 + 7 * objective(each)) for each in parent]
    transfer = run(base.find("Bayesian"), 3, seed=9, parents=[moved], is_transfer=True)
    best_moved = best(moved, is_maximizing=False)
    assert best_moved is not None
    assert transfer[0].values == best_moved.values


def test_the_gradient_of_the_process_is_that_of_its_loss():
    rng = np.random.default_rng(0)
    points = rng.random((15, 3))
    values = standardised(np.sin(5 * points[:, 0]) + points[:, 1])
    bends = np.array([True, True, False])
    theta = 0.3 * rng.normal(size=3 + 2 + 4)
    theta[4] -= 3
    _, gradient = _gaussian._loss(theta, points, values, bends)
    for place in range(len(theta)):
        step = np.zeros_like(theta)
        step[place] = 1e-5
        above, below = (_gaussian._loss(theta + sign * step, points, values, bends)[0] for sign in (1, -1))
        assert gradient[place] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-4)


def test_expected_improvement_has_a_logarithm_far_below():
    z = np.array([-40.0, -10.0, -4.0, -3.0, -2.999, 0.0, 3.0])
    found = log_improvement(z)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
    assert found[5] == pytest.approx(np.log(1 / np.sqrt(2 * np.pi)))


def test_a_warm_start_looks_near_what_its_parent_found_first():
    parent = run(base.find("Bayesian"), 12)
    found = objective(best(parent, is_maximizing=False))
    reached = []
    for seed in (9, 10, 11):
        child = run(base.find("Bayesian"), 6, seed=seed, parents=[parent])
        reached.append(min(objective(each) for each in child) <= found)
    assert all(reached)
