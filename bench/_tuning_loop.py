"""What the loop costs beside its trainings: Clary, a bare Optuna loop, a process for each trial, Ray Tune.

Loops run the same hyperparameters as the tuning job before them, two at a time, on one thread each.
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from bench._bars import Report

from clary.testing.jobs import channel, upload_csv
from clary.testing.server import Account
from clary.testing.tuning import training_definition, trials_of, tuned, tuning_request

N_LOOP = 60
N_PROCESSES = 10
"""Trials of the way that takes one process each; its time is scaled up."""
RANGES = {
    "ContinuousParameterRanges": [
        {"Name": "eta", "MinValue": "0.05", "MaxValue": "0.5", "ScalingType": "Logarithmic"},
        {"Name": "subsample", "MinValue": "0.5", "MaxValue": "1"},
    ],
    "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "4", "MaxValue": "8"}],
}
MIDDLE = {"eta": "0.16", "subsample": "0.75", "max_depth": "6"}
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


def loop(report: Report, account: Account, home: Path, ray: str) -> None:
    """Measure bar 1: sixty trials of XGBoost, two at a time, of about a second and of about 25 ms."""
    rows = []
    for name, n_rows, n_columns, seconds in (("a second", 40_000, 20, 1.0), ("25 ms", 426, 30, 0.025)):
        took, spec = tuned_s(account, home, n_rows, n_columns, seconds)
        bare = python_s(sys.executable, OPTUNA, spec)
        spec_few = spec | {"trials": spec["trials"][:N_PROCESSES]}
        alone = processes_s(spec_few) * N_LOOP / N_PROCESSES
        rows.append((f"Clary, trials of {name}", took, took / N_LOOP * 1000, f"{took / bare:.2f} x"))
        rows.append(("  Optuna in one process", bare, bare / N_LOOP * 1000, "1.00 x"))
        rows.append(("  one process a trial", alone, alone / N_LOOP * 1000, f"{alone / bare:.2f} x"))
        if ray:
            found = python_s(ray, RAY, spec_few) * N_LOOP / N_PROCESSES
            rows.append(("  Ray Tune", found, found / N_LOOP * 1000, f"{found / bare:.2f} x"))
        report.facts[f"loop of {name}"] = {
            "clary_s": took,
            "optuna_s": bare,
            "processes_s": alone,
            "rounds": spec["rounds"],
        }
        if name == "a second":
            report.bar(f"{N_LOOP} trials of a second beside a bare Optuna loop", took / bare, 1.2, "x")
        else:
            report.bar("a trial of 25 ms, on top of bare Optuna", (took - bare) / N_LOOP * 1000, 100)
    report.table(f"{N_LOOP} XGBoost trials, two at a time", ("", "s", "ms a trial", "of Optuna"), rows)


def tuned_s(
    account: Account, home: Path, n_rows: int, n_columns: int, seconds: float
) -> tuple[float, dict[str, Any]]:
    """Run a tuning job of trials that take `seconds` alone; return its own, and what another loop needs."""
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
    rounds = rounds_of(seconds, [str(path) for path in paths])
    fixed = {"num_round": str(rounds), "objective": "binary:logistic", "eval_metric": "auc", "nthread": "1"}
    definition = training_definition(account, bucket, static=fixed)
    definition["InputDataConfig"] = [channel(bucket, part) for part in ("train", "validation")]
    definition["ResourceConfig"] |= {"InstanceType": "ml.m5.large"}
    request = tuning_request(
        account, bucket, strategy="Bayesian", n=N_LOOP, ranges=RANGES, definition=definition, RandomSeed=7
    )
    tuned(
        account,
        tuning_request(account, bucket, n=2, strategy="Bayesian", ranges=RANGES, definition=definition),
    )  # warm
    began = time.perf_counter()
    described = tuned(account, request, limit_s=600, every_s=0.3)
    took = time.perf_counter() - began
    assert described["TrainingJobStatusCounters"]["Completed"] == N_LOOP, described
    trials = [
        each["TunedHyperParameters"] for each in trials_of(account, request["HyperParameterTuningJobName"])
    ]
    return took, {"data": [str(path) for path in paths], "rounds": rounds, "trials": trials}


def rounds_of(seconds: float, data: list[str]) -> int:
    """Return how many rounds a trial in the middle of the ranges does in a time, alone on this machine."""
    spec = {"data": data, "rounds": 40, "trials": [MIDDLE] * 5}
    return max(
        10, round(40 * seconds / (python_s(sys.executable, OPTUNA.replace("n_jobs=2", "n_jobs=1"), spec) / 5))
    )


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
