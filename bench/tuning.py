"""Tuning: what the loop costs beside its trainings, how soon strategies find what is good, long lists.

    python -m bench.tuning [--only loop,bayesian,hyperband,warm,many] [--seeds 20] [--ray PYTHON]

Loops run the same hyperparameters as the tuning job before them, two at a time, on one thread each: an
Optuna study in one process, one process for each trial, and Ray Tune where a Python that has it is named.
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from bench._bars import Report, quantile
from bench._tuning_tasks import RACES, TASKS
from bench.control import running, timed
from threadpoolctl import threadpool_limits

from clary.kernel import ids
from clary.store.times import to_micros
from clary.testing.jobs import channel, upload_csv
from clary.testing.server import Account
from clary.testing.tuning import training_definition, trials_of, tuned, tuning_request
from clary.tuning import stopping
from clary.tuning.strategies import base as strategies
from clary.tuning.study import Study, Trial

PARTS = ("loop", "bayesian", "hyperband", "warm", "many")
N_LOOP = 60
N_PROCESSES = 10
"""Trials of the way that takes one process each; its time is scaled up."""
N_CONFIGURATIONS, N_EPOCHS, SLOTS = 40, 27, 4
N_PARENT = 20
N_MANY = 10_000
RANGES = {
    "ContinuousParameterRanges": [
        {"Name": "eta", "MinValue": "0.05", "MaxValue": "0.5", "ScalingType": "Logarithmic"},
        {"Name": "subsample", "MinValue": "0.5", "MaxValue": "1"},
    ],
    "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "4", "MaxValue": "8"}],
}
BARE = """
import sys, json, time
import numpy as np, xgboost
spec = json.loads(sys.argv[1])
rows = [np.loadtxt(path, delimiter=",", dtype=np.float32) for path in spec["data"]]
def train(values):
    data = [xgboost.DMatrix(each[:, 1:], each[:, 0], nthread=1) for each in rows]
    params = {name: float(value) for name, value in values.items()} | {
        "objective": "binary:logistic", "eval_metric": "auc", "nthread": 1}
    params["max_depth"] = int(params["max_depth"])
    found = {}
    evals = [(data[0], "train"), (data[1], "validation")]
    xgboost.train(params, data[0], spec["rounds"], evals, evals_result=found, verbose_eval=False)
    return found["validation"]["auc"][-1]
"""
OPTUNA = (
    BARE
    + """
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(direction="maximize")
for values in spec["trials"]:
    study.enqueue_trial({"eta": float(values["eta"]), "subsample": float(values["subsample"]),
                         "max_depth": int(values["max_depth"])})
def objective(trial):
    return train({"eta": trial.suggest_float("eta", 0.05, 0.5, log=True),
                  "subsample": trial.suggest_float("subsample", 0.5, 1),
                  "max_depth": trial.suggest_int("max_depth", 4, 8)})
began = time.perf_counter()
study.optimize(objective, n_trials=len(spec["trials"]), n_jobs=2)
print(time.perf_counter() - began)
"""
)
ALONE = BARE + "\ntrain(spec['trials'][0])\n"
RAY = (
    BARE
    + """
import os
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
import ray
from ray import tune
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
def one(config):
    tune.report({"auc": train(spec["trials"][config["n"]])})
began = time.perf_counter()
tuner = tune.Tuner(one, param_space={"n": tune.grid_search(list(range(len(spec["trials"]))))},
                   tune_config=tune.TuneConfig(max_concurrent_trials=2))
tuner.fit()
print("took", time.perf_counter() - began)
"""
)


def main() -> int:
    """Measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--ray", default="", help="Python of an environment that has ray[tune] and xgboost")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    parts = chosen.only.split(",")
    report = Report("tuning")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with ProcessPoolExecutor(os.cpu_count(), initializer=one_thread) as pool:
        if "bayesian" in parts:
            bayesian(report, pool, chosen.seeds, chosen.trials)
        if "hyperband" in parts:
            hyperband(report, pool, chosen.seeds)
        if "warm" in parts:
            warm(report, pool, chosen.seeds)
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)  # jobs of other user ids pass
    try:
        if "loop" in parts:
            with running(home) as (_server, account):
                loop(report, account, home, chosen.ray)
        if "many" in parts:
            many(report, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)


def one_thread() -> None:
    """Keep a worker to one core, so that two do not wait for each other."""
    threadpool_limits(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def loop(report: Report, account: Account, home: Path, ray: str) -> None:
    """Measure bar 1: sixty trials of XGBoost, two at a time, of about a second and of about 25 ms."""
    rows = []
    for name, n_rows, n_columns, rounds in (("a second", 40_000, 20, 80), ("25 ms", 426, 30, 50)):
        took, spec = tuned_s(account, home, n_rows, n_columns, rounds)
        bare = python_s(sys.executable, OPTUNA, spec)
        spec_few = spec | {"trials": spec["trials"][:N_PROCESSES]}
        alone = processes_s(spec_few) * N_LOOP / N_PROCESSES
        rows.append((f"Clary, trials of {name}", took, took / N_LOOP * 1000, f"{took / bare:.2f} x"))
        rows.append(("  Optuna in one process", bare, bare / N_LOOP * 1000, "1.00 x"))
        rows.append(("  one process a trial", alone, alone / N_LOOP * 1000, f"{alone / bare:.2f} x"))
        if ray:
            found = python_s(ray, RAY, spec_few) * N_LOOP / N_PROCESSES
            rows.append(("  Ray Tune", found, found / N_LOOP * 1000, f"{found / bare:.2f} x"))
        report.facts[f"loop of {name}"] = {"clary_s": took, "optuna_s": bare, "processes_s": alone}
        if name == "a second":
            report.bar(f"{N_LOOP} trials of a second beside a bare Optuna loop", took / bare, 1.2, "x")
        else:
            report.bar("a trial of 25 ms, on top of bare Optuna", (took - bare) / N_LOOP * 1000, 100)
    report.table(f"{N_LOOP} XGBoost trials, two at a time", ("", "s", "ms a trial", "of Optuna"), rows)


def tuned_s(
    account: Account, home: Path, n_rows: int, n_columns: int, rounds: int
) -> tuple[float, dict[str, Any]]:
    """Run a tuning job; return its seconds, and what another loop needs to do the same."""
    rng = np.random.default_rng(7)
    columns = rng.normal(size=(n_rows, n_columns))
    label = columns[:, :5].sum(axis=1) + rng.normal(size=n_rows) > 0
    table, cut = np.column_stack([label, columns]), int(0.8 * n_rows)
    paths = []
    bucket = ""
    for part, chosen in (("train", table[:cut]), ("validation", table[cut:])):
        bucket = upload_csv(account, f"{part}/data.csv", chosen, bucket=bucket or None)
        paths.append(home / f"{part}-{n_rows}.csv")
        np.savetxt(paths[-1], chosen, delimiter=",", fmt="%.6g")
    fixed = {"num_round": str(rounds), "objective": "binary:logistic", "eval_metric": "auc", "nthread": "1"}
    definition = training_definition(account, bucket, static=fixed)
    definition["InputDataConfig"] = [channel(bucket, part) for part in ("train", "validation")]
    definition["ResourceConfig"] |= {"InstanceType": "ml.m5.large"}
    request = tuning_request(
        account, bucket, strategy="Bayesian", n=N_LOOP, ranges=RANGES, definition=definition, RandomSeed=7
    )
    tuned(account, tuning_request(account, bucket, n=2, ranges=RANGES, definition=definition))  # warm
    began = time.perf_counter()
    described = tuned(account, request, limit_s=600)
    took = time.perf_counter() - began
    assert described["TrainingJobStatusCounters"]["Completed"] == N_LOOP, described
    trials = [
        each["TunedHyperParameters"] for each in trials_of(account, request["HyperParameterTuningJobName"])
    ]
    return took, {"data": [str(path) for path in paths], "rounds": rounds, "trials": trials}


def python_s(python: str, program: str, spec: dict[str, Any]) -> float:
    """Run a program that prints its seconds as the last word."""
    done = subprocess.run(
        [python, "-W", "ignore", "-c", program, json.dumps(spec)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return float(done.stdout.split()[-1])


def processes_s(spec: dict[str, Any]) -> float:
    """Run each trial in a process of its own, two at a time; return the seconds."""

    def one(values: dict[str, str]) -> None:
        subprocess.run(
            [sys.executable, "-c", ALONE, json.dumps(spec | {"trials": [values]})],
            check=True,
            capture_output=True,
        )

    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, spec["trials"]))
    return time.perf_counter() - began


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


def many(report: Report, home: Path) -> None:
    """Measure bar 6: a tuning job of ten thousand finished trials."""
    with running(home) as (server, account):
        rows = np.column_stack([np.arange(40) % 2, np.random.default_rng(1).normal(size=(40, 2))])
        bucket = upload_csv(account, "train/data.csv", rows)
        upload_csv(account, "validation/data.csv", rows, bucket=bucket)
        request = tuning_request(account, bucket, n=2)
        name = request["HyperParameterTuningJobName"]
        tuned(account, request)
        path = server.data_dir / "clary.db"
    multiply(path, account.account_id, name)
    with running(home) as (server, account):
        client = account.client("sagemaker")
        listing = client.list_training_jobs_for_hyper_parameter_tuning_job
        arn = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)[
            "HyperParameterTuningJobArn"
        ]
        by_arn = {"Filters": [{"Name": "TuningJobArn", "Operator": "Equals", "Value": arn}]}
        ask = {"HyperParameterTuningJobName": name, "MaxResults": 100}
        calls: dict[str, Callable[[], Any]] = {
            "list": lambda: listing(**ask),
            "sorted by objective": lambda: listing(
                **ask, SortBy="FinalObjectiveMetricValue", SortOrder="Descending"
            ),
            "only Completed": lambda: listing(**ask, StatusEquals="Completed", SortBy="CreationTime"),
            "describe": lambda: client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
            "search, its training jobs": lambda: client.search(
                Resource="TrainingJob", SearchExpression=by_arn, MaxResults=10
            ),
            "search, tuning jobs": lambda: client.search(Resource="HyperParameterTuningJob"),
        }
        shown = []
        for what, call in calls.items():
            times = [timed(call) for _ in range(12)][2:]
            shown.append((what, quantile(times, 0.5), max(times)))
            report.bar(f"{N_MANY:,} trials: {what}, median", quantile(times, 0.5), 100)
        began = time.perf_counter()
        pages = client.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(**ask)
        sizes = [len(page["TrainingJobSummaries"]) for page in pages]
        took = (time.perf_counter() - began) * 1000
        assert sum(sizes) >= N_MANY, sizes
        shown.append((f"analytics: all of it, {len(sizes)} pages", took, took / len(sizes)))
        report.bar(f"{N_MANY:,} trials: analytics, a page of 100", took / len(sizes), 100)
    report.table(f"A tuning job of {N_MANY:,} trials", ("", "ms", "most, or a page"), shown)


def multiply(path: Path, account: str, name: str) -> None:
    """Write ten thousand trials beside the two of a finished job, and a training job for each."""
    conn = sqlite3.connect(path, isolation_level=None)
    columns = [row[1] for row in conn.execute("PRAGMA table_info(record)") if row[1] != "id"]
    listed = ", ".join(f'"{column}"' for column in columns)
    rng, now = np.random.default_rng(3), datetime.now(UTC)
    conn.execute("BEGIN")
    for noun in ("TrainingJob", "HyperParameterTrial"):
        query = f"SELECT {listed} FROM record WHERE account = ? AND noun LIKE ? AND key LIKE ? LIMIT 1"
        given = (account, f"{noun}%", f"{name}-001-%")
        sample = dict(zip(columns, conn.execute(query, given).fetchone(), strict=True))
        fresh = []
        for index in range(3, N_MANY + 3):
            key = f"{name}-{index:03d}-{ids.short()[:8]}"
            moment = to_micros(now + timedelta(milliseconds=index))
            document = sample["document"].replace(sample["key"], key)
            if noun == "HyperParameterTrial":
                shown = json.loads(document)
                shown["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] = float(rng.random())
                document = json.dumps(shown, separators=(",", ":"))
            changed = {
                "key": key,
                "arn": sample["arn"].replace(sample["key"], key),
                "document": document,
                "private": sample["private"].replace('"index":1', f'"index":{index}'),
                "created": moment,
                "modified": moment,
            }
            fresh.append([changed.get(column, sample[column]) for column in columns])
        conn.executemany(f"INSERT INTO record ({listed}) VALUES ({','.join('?' * len(columns))})", fresh)
    conn.execute("COMMIT")
    conn.close()


if __name__ == "__main__":
    sys.exit(main())
