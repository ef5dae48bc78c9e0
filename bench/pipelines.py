"""Inference pipelines: what a row of containers costs, beside its containers one by one.

    python -m bench.pipelines [--seconds 2] [--json FILE]

A scaler in script mode before XGBoost: one process. The same with another script behind: two processes. CPU
is user and system time, for one request, of edge, agents and replicas, less what they spend at rest; signed,
one row of 30 columns. (Control plane and object store have a part in no request.) At one connection, on a
machine with other work, every row finds cold caches, which costs a library of trees half a millisecond: there
the figures say little.
"""

import io
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from bench import _sites, _stage
from bench._drive import Load, ask, cpu_s, named, signed, tree
from bench._stage import Stage
from bench.control import running
from sklearn.preprocessing import StandardScaler

from clary.kernel import ids
from clary.testing.jobs import SCIKIT_LEARN, wait_for_endpoint
from clary.testing.server import Account, ClaryServer

MOST = 1.3
"""Of the sum of the containers, each at an endpoint of its own."""
REST_S = 6.0
"""Counts of what was asked are written for some seconds after it."""
CONNECTIONS = (1, 8, 64)
SCALE = """
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))

def predict_fn(rows, model):
    return model.transform(rows)
"""
ROUND = """
def model_fn(model_dir):
    return 0.5

def transform_fn(model, data, content_type, accept):
    return "yes" if float(data) > model else "no", "text/csv"
"""


def main() -> int:
    """Measure, judge."""

    def measured(stage: Stage) -> None:
        _sites.make_models(stage.home)
        with running(stage.home) as (server, account):
            measure(stage, server, account)

    return _stage.run("pipelines", __doc__, measured)


def measure(stage: Stage, server: ClaryServer, account: Account) -> None:
    """Ask each container alone, and the rows that they make."""
    report, driver, home, seconds = stage.report, stage.driver, stage.home, stage.seconds
    scaler = script(account, SCALE, home, SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv")
    forest = _sites.xgboost_container(account, home)
    rounder = script(account, ROUND, home)
    row = np.load(home / "rows.npy")[0, 1:]
    text = ",".join(f"{value:.6g}" for value in row)
    sites = {
        "scaler": ([scaler], text),
        "xgboost": ([forest], text),
        "rounder": ([rounder], "0.7"),
        "scaler, xgboost": ([scaler, forest], text),
        "scaler, xgboost, rounder": ([scaler, forest, rounder], text),
    }
    port = int(server.url.rpartition(":")[2])
    asked = {}
    for name, (containers, body) in sites.items():
        endpoint = deployed(account, containers)
        asked[name] = signed(account, endpoint, body.encode(), "text/csv", "text/csv")
        driver.run(port, asked[name], connections=4, seconds=1.0, pids=())
    assert ask(port, asked["scaler, xgboost, rounder"][0]) in {b"yes", b"no"}
    found: dict[tuple[str, int], Load] = {}
    everybody = tree(server.running.pid, *named(str(server.data_dir)))
    pids = tuple(everybody - named("uvicorn", "weed"))
    rest = at_rest(pids)
    for n in CONNECTIONS:
        for name, requests in asked.items():
            loads = [driver.run(port, requests, connections=n, seconds=seconds, pids=pids) for _ in range(3)]
            assert not any(load.errors for load in loads)
            spent = [replace(each, cpu_us=each.cpu_us - rest * each.seconds * 1e6 / each.n) for each in loads]
            found[name, n] = min(spent, key=lambda load: load.cpu_us)
    rows = [
        (f"{name}, {n}", load.cpu_us, load.rps, load.p50_us, load.p99_us) for (name, n), load in found.items()
    ]
    head = ("containers, connections", "CPU us", "requests/s", "p50 us", "p99 us")
    report.table("A row of 30 columns, CSV, signed, keep-alive", head, rows)
    for name in ("scaler, xgboost", "scaler, xgboost, rounder"):
        for n in CONNECTIONS:
            alone = sum(found[each, n].cpu_us for each in name.split(", "))
            share = found[name, n].cpu_us / alone
            report.bar(f"{name}: CPU at {n}, of its containers one by one", share, MOST, "x")
    report.facts["loads"] = {f"{name}, {n}": vars(load) for (name, n), load in found.items()}


def at_rest(pids: tuple[int, ...]) -> float:
    """Return the CPU seconds a second that the server takes while nobody asks, metrics and polls included."""
    time.sleep(REST_S)
    before, begun = cpu_s(pids), time.perf_counter()
    time.sleep(REST_S)
    after = cpu_s(pids)
    return sum(after[pid] - before.get(pid, 0.0) for pid in after) / (time.perf_counter() - begun)


def script(account: Account, text: str, home: Path, **environment: str) -> dict[str, Any]:
    """Upload a script with a fitted scaler; return its container."""
    rows = np.load(home / "rows.npy")[:, 1:]
    stream = io.BytesIO()
    joblib.dump(StandardScaler().fit(rows), stream)
    files = {"model.joblib": stream.getvalue(), "code/inference.py": text}
    return {
        "Image": SCIKIT_LEARN,
        "ModelDataUrl": _sites.upload(account, files),
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py", **environment},
    }


def deployed(account: Account, containers: list[dict[str, Any]]) -> str:
    """Return the name of an endpoint of the containers in a row."""
    client, name = account.client("sagemaker"), f"bench-{ids.short()}"
    model = {"PrimaryContainer": containers[0]} if len(containers) == 1 else {"Containers": containers}
    client.create_model(ModelName=name, ExecutionRoleArn=account.role_arn, **model)
    variant = {"VariantName": "AllTraffic", "ModelName": name, **_sites.ONE}
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    client.create_endpoint(EndpointName=name, EndpointConfigName=name)
    described = wait_for_endpoint(account, name)
    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
    return name


if __name__ == "__main__":
    sys.exit(main())
