"""How soon strategies find what is good: Bayesian search, Hyperband, warm starts."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import optuna
from bench._bars import Report, quantile
from bench._tuning_tasks import RACES, TASKS

from clary.tuning import stopping
from clary.tuning.strategies import base as strategies
from clary.tuning.study import Study, Trial

N_CONFIGURATIONS, N_EPOCHS, SLOTS = 40, 27, 4
N_PARENT = 20


def bayesian(report: Report, pool: ProcessPoolExecutor, n_seeds: int, n: int) -> None:
    """Measure bar 2: Bayesian against random and against Optuna's default, at equal trials."""
    rows, lost, behind = [], 0, 0
    ways = ("Bayesian", "Random", "TPE")
    asked = [(place, way, n, seed) for place in range(len(TASKS)) for way in ways for seed in range(n_seeds)]
    found = list(pool.map(best_of, asked, chunksize=4))
    for place, task in enumerate(TASKS):
        medians = {
            way: float(
                np.median([each for each, what in zip(found, asked, strict=True) if what[:2] == (place, way)])
            )
            for way in ways
        }
        lost += medians["Bayesian"] >= medians["Random"]
        behind += medians["Bayesian"] > medians["TPE"]
        rows.append((task.name, *(f"{medians[way]:.5g}" for way in ways)))
    report.table(f"Least loss after {n} trials, median of {n_seeds} seeds", ("", *ways), rows)
    report.bar(f"tasks of {len(TASKS)} on which Bayesian does not beat random", lost, 2, "")
    report.bar(f"tasks of {len(TASKS)} on which Optuna's default beats Bayesian", behind, len(TASKS) // 2, "")


def best_of(asked: tuple[int, str, int, int]) -> float:
    """Return the least loss that a way finds on a task."""
    place, way, n, seed = asked
    task = TASKS[place]
    if way == "TPE":
        return least_of_tpe(place, n, seed)
    return min(trial.objective or 0.0 for trial in run(way, task.space, task.loss, n, seed))


def run(way: str, space: Any, loss: Callable[[Any], float], n: int, seed: int, **members: Any) -> list[Trial]:
    """Run a strategy, one trial after another."""
    strategy, trials = strategies.find(way), list[Trial]()
    for index in range(1, n + 1):
        values = strategy.propose(Study(space, False, seed, trials, **members), index)
        if values is None:
            break
        trials.append(Trial(index, values, loss(values)))
    return trials


def least_of_tpe(place: int, n: int, seed: int) -> float:
    """Return what Optuna finds by itself."""
    task = TASKS[place]

    def objective(trial: optuna.Trial) -> float:
        values = {}
        for each in task.space.parameters:
            if each.kind == "Categorical":
                values[each.name] = str(trial.suggest_categorical(each.name, each.values))
            elif each.kind == "Integer":
                values[each.name] = str(trial.suggest_int(each.name, int(each.low), int(each.high)))
            else:
                is_log = each.scale == "Logarithmic"
                values[each.name] = repr(trial.suggest_float(each.name, each.low, each.high, log=is_log))
        return task.loss(values)

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=n)
    return float(study.best_value)


def hyperband(report: Report, pool: ProcessPoolExecutor, n_seeds: int) -> None:
    """Measure bar 3: epochs until Hyperband has what random search has after all of its own."""
    rows = []
    for place, race in enumerate(RACES):
        shares = sorted(pool.map(share_of_epochs, [(place, seed) for seed in range(n_seeds)]))
        median = quantile(shares, 0.5)
        rows.append((race.name, 100 * median, 100 * shares[0], 100 * shares[-1]))
        report.bar(f"Hyperband's epochs of random search's, {race.name}", 100 * median, 40, "%")
    head = ("% of random's epochs, to its best", "median", "least", "most")
    report.table(f"Hyperband, {N_CONFIGURATIONS} x {N_EPOCHS} epochs, {n_seeds} seeds", head, rows)


def share_of_epochs(asked: tuple[int, int]) -> float:
    """Run random search and Hyperband from one seed; return the latter's share of epochs, 1 for never.

    Trials advance an epoch at a time, four side by side; a free slot is filled at once.
    """
    place, seed = asked
    race = RACES[place]
    drawn = run("Random", race.space, lambda _values: 0.0, N_CONFIGURATIONS, seed)
    curves = [race.curve(trial.values, N_EPOCHS) for trial in drawn]
    target = min(curve[-1] for curve in curves)
    length = dict.fromkeys(range(N_CONFIGURATIONS), 0)
    slots: list[int] = []
    waiting = list(range(N_CONFIGURATIONS))
    spent = 0
    while slots or waiting:
        while waiting and len(slots) < SLOTS:
            slots.append(waiting.pop(0))
        for number in list(slots):
            length[number] += 1
            spent += 1
            if curves[number][length[number] - 1] <= target * (1 + 1e-9):
                return spent / (N_CONFIGURATIONS * N_EPOCHS)
            shown = {each: curves[each][:n] for each, n in length.items() if n}
            others = [curve for each, curve in shown.items() if each != number]
            lags = stopping.lags_rung(
                shown[number],
                others,
                is_maximizing=False,
                min_resource=stopping.least_resource(N_EPOCHS),
                max_resource=N_EPOCHS,
            )
            if lags:
                slots.remove(number)
    return 1.0


def warm(report: Report, pool: ProcessPoolExecutor, n_seeds: int) -> None:
    """Measure bar 4: trials until a warm start has its parent's best."""
    rows, all_shares = [], []
    for place, task in enumerate(TASKS):
        shares = sorted(pool.map(share_of_parent, [(place, seed) for seed in range(n_seeds)]))
        all_shares.append(quantile(shares, 0.5))
        rows.append((task.name, 100 * all_shares[-1]))
    report.table(f"Trials of {N_PARENT} until the parent's best, {n_seeds} seeds", ("", "median, %"), rows)
    report.bar(
        "warm start, share of the parent's trials, median task", 100 * quantile(all_shares, 0.5), 50, "%"
    )
    report.bar("warm start, share of the parent's trials, worst task", 100 * max(all_shares), 50, "%")


def share_of_parent(asked: tuple[int, int]) -> float:
    """Return the share of the parent's trials that its child needs to reach the parent's best."""
    place, seed = asked
    task = TASKS[place]
    parent = run("Bayesian", task.space, task.loss, N_PARENT, seed)
    target = min(trial.objective or 0.0 for trial in parent)
    strategy, trials = strategies.find("Bayesian"), list[Trial]()
    for index in range(1, N_PARENT + 1):
        values = strategy.propose(Study(task.space, False, seed + 1000, trials, parents=[parent]), index)
        if values is None:
            return 1.0
        loss = task.loss(values)
        if loss <= target:
            return index / N_PARENT
        trials.append(Trial(index, values, loss))
    return 1.0
