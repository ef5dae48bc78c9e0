"""Multi-model endpoints: what a request to a loaded model costs, and how a thousand models are.

    python -m bench.multi_model [--seconds 2] [--models 1000] [--json FILE]

The same model is served twice, alone and as one of many, and asked in turns, in the same run. CPU is user
and system time of the whole server for one request.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from bench import _sites, _stage
from bench._bars import Report, quantile
from bench._drive import Driver, Load, ask, signed
from bench._sites import Deployed
from bench._stage import Stage
from bench.control import running

from clary.testing.server import Account, ClaryServer

N_ROUNDS = 3
CONNECTIONS = (1, 64)
MOST = 1.15
"""Of the CPU of a request to the same model alone."""
TARGET = "X-Amzn-SageMaker-Target-Model"
KINDS: Mapping[str, Callable[[Account, Path], dict[str, Any]]] = {
    "xgboost, in place": _sites.xgboost_container,
    "scikit-learn, script": _sites.sklearn_container,
}


def main() -> int:
    """Measure, judge."""
    models = {"type": int, "default": 1000, "help": "behind one endpoint"}
    return _stage.run("multi_model", __doc__, measure, models=models)


def measure(stage: Stage) -> None:
    """Measure one of many, and many."""
    home, report = stage.home, stage.report
    _sites.make_models(home)
    with running(home) as (server, account):
        for kind, make in KINDS.items():
            warm(report, stage.driver, kind, server, account, make(account, home), stage.seconds)
        many(report, server, account, home, stage.chosen.models)
    report.facts["load_after"] = os.getloadavg()[0]


def several(container: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return a container of many models, of which one is that of `container`, and the name of that one."""
    prefix, _, name = container["ModelDataUrl"].rpartition("/")
    return {**container, "Mode": "MultiModel", "ModelDataUrl": f"{prefix}/"}, name


def warm(
    report: Report,
    driver: Driver,
    kind: str,
    server: ClaryServer,
    account: Account,
    container: dict[str, Any],
    seconds: float,
) -> None:
    """Hold a loaded model of many against the same one alone."""
    shared, target = several(container)
    row = ",".join(f"{value:.6g}" for value in np.random.default_rng(3).normal(size=_sites.N_FEATURES))
    body = row.encode()
    ways: dict[str, tuple[Deployed, list[bytes]]] = {}
    headers: tuple[dict[str, str], ...] = ({}, {TARGET: target})
    for way, each, further in zip(("alone", "of many"), (container, shared), headers, strict=True):
        deployed = Deployed(server, account, each)
        ways[way] = deployed, signed(account, deployed.name, body, "text/csv", further=further)
    said = {way: ask(deployed.port, requests[0]) for way, (deployed, requests) in ways.items()}
    assert said["alone"] == said["of many"], said
    for deployed, requests in ways.values():
        driver.run(deployed.port, requests, connections=8, seconds=3.0, pids=())
    best: dict[tuple[str, int], Load] = {}
    for _ in range(N_ROUNDS):
        for n in CONNECTIONS:
            for way, (deployed, requests) in ways.items():
                load = driver.run(deployed.port, requests, connections=n, seconds=seconds, pids=deployed.pids)
                assert not load.errors, f"{kind}, {way}: {load.errors} of {load.n} answers are wrong"
                known = best.get((way, n))
                best[way, n] = load if known is None or load.cpu_us < known.cpu_us else known
    rows = [
        (f"{way}, {n}", load.cpu_us, load.rps, load.p50_us, load.p99_us) for (way, n), load in best.items()
    ]
    report.table(
        f"{kind}: one row, signed", ("connections", "CPU us", "requests/s", "p50 us", "p99 us"), rows
    )
    for n in CONNECTIONS:
        ratio = best["of many", n].cpu_us / best["alone", n].cpu_us
        report.bar(f"{kind}: CPU of a loaded model, {n} connections, of alone", ratio, MOST, "x")
    report.facts[kind] = {f"{way} {n}": vars(load) for (way, n), load in best.items()}


def many(report: Report, server: ClaryServer, account: Account, home: Path, n: int) -> None:
    """Ask each of many models for the first time, then again."""
    shared, target = several(_sites.xgboost_container(account, home))
    client, (bucket, _, prefix) = account.client("s3"), shared["ModelDataUrl"][5:].partition("/")
    body = client.get_object(Bucket=bucket, Key=prefix + target)["Body"].read()
    names = [f"{number}.tar.gz" for number in range(n)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: client.put_object(Bucket=bucket, Key=prefix + name, Body=body), names))
    deployed = Deployed(server, account, shared)
    row = ",".join(["0.5"] * _sites.N_FEATURES).encode()
    took: dict[str, list[float]] = {"first": [], "again": []}
    for way, order in (("first", names), ("again", random.Random(7).sample(names, n))):
        for name in order:
            request = signed(account, deployed.name, row, "text/csv", n=1, further={TARGET: name})[0]
            begun = time.perf_counter()
            answer = ask(deployed.port, request)
            took[way].append((time.perf_counter() - begun) * 1000)
            assert not answer.startswith(b"HTTP"), answer[:300]
    rows = [
        (way, f"{quantile(each, 0.5):.1f}", f"{quantile(each, 0.99):.1f}", f"{max(each):.1f}")
        for way, each in took.items()
    ]
    report.table(f"{n} models, one after the other, ms", ("", "median", "p99", "most"), rows)
    report.bar(f"{n} models: first request, median", quantile(took["first"], 0.5), 150.0)
    report.bar(f"{n} models: a later request, median", quantile(took["again"], 0.5), 5.0)
    report.facts["many"] = took


if __name__ == "__main__":
    sys.exit(main())
