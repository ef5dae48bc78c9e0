"""Sizes: what one core of each process sustains, and how many cores what a team wants takes (docs/sizing.md).

    python -m bench.sizing [--jobs 20] [--calls 400] [--json FILE]

Measured here: the CPU that a call, a job and a megabyte cost edge, control plane and object store, from the
kernel's counts of each process. From `make bench-serving`, where its JSON is: an invocation in the edge. CPU
does not change with neighbours as times do. The arithmetic plans a core to be half busy.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from bench._bars import FOLDER, Report
from bench._drive import cpu_s, tree
from bench.control import running

from clary.cli.supervisor import state
from clary.testing.jobs import training_request, upload_csv
from clary.testing.server import Account, ClaryServer

PARTS = ("edge", "control", "objects")
CLIENTS = 4
BUSY = 0.5
"""Share of a core that is planned for; the rest is for peaks and for what ends beside it."""
DESCRIBES, LISTS = 20, 2
"""Calls that are planned for each job: an SDK that waits, and a person who looks."""
OBJECT_BYTES, N_OBJECTS = 8 << 20, 32
JOBS_AN_HOUR = (100, 1_000, 10_000)
INVOCATIONS_A_S = (1_000, 50_000, 1_000_000)
WAYS = {
    "in place": "edge alone, in-place, CPU a request, 64 connections",
    "by a replica": "edge alone, hop, CPU a request, 64 connections",
}
"""An invocation's ways through the edge, as `bench.serving` names its bars."""


def main() -> int:
    """Measure, and do the arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    report = Report("sizing")
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)
    try:
        with running(home) as (server, account):
            costs = measured(server, account, chosen.jobs, chosen.calls)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    report.facts["cpu_ms"] = costs
    rows = [(name, *(costs[name][part] for part in PARTS)) for name in costs]
    report.table("CPU, ms of a core", ("", *PARTS), rows)
    shown(report, costs, invocations(FOLDER / "serving.json"))
    return report.finish(chosen.json)


def measured(server: ClaryServer, account: Account, n_jobs: int, n_calls: int) -> dict[str, dict[str, float]]:
    """Return the milliseconds of CPU that one of each thing costs each process."""
    processes = processes_of(server)
    sagemaker, s3 = account.client("sagemaker"), account.client("s3")
    rows = np.random.default_rng(0).random((200, 5)).round(3)
    bucket = upload_csv(account, "train/data.csv", rows)
    costs: dict[str, dict[str, float]] = {}

    def cost(name: str, n: float, work: Callable[[], object]) -> None:
        before = spent(processes)
        work()
        costs[name] = {part: (after - before[part]) * 1e3 / n for part, after in spent(processes).items()}

    def many(n: int, call: Callable[[int], object]) -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(call, range(n)))

    jobs = [training_request(account, bucket) for _ in range(n_jobs + 2)]
    for each in jobs[:2]:  # the first pays for what stays warm
        sagemaker.create_training_job(**each)
    rest(sagemaker)
    cost("a training job", n_jobs, lambda: (many(n_jobs, created(sagemaker, jobs[2:])), rest(sagemaker)))
    name = jobs[0]["TrainingJobName"]
    describe, listing = sagemaker.describe_training_job, sagemaker.list_training_jobs
    cost("DescribeTrainingJob", n_calls, lambda: many(n_calls, lambda _: describe(TrainingJobName=name)))
    cost("ListTrainingJobs", n_calls, lambda: many(n_calls, lambda _: listing(MaxResults=10)))
    data, n_mb = os.urandom(OBJECT_BYTES), OBJECT_BYTES * N_OBJECTS / 1e6
    cost(
        "an MB put",
        n_mb,
        lambda: many(N_OBJECTS, lambda n: s3.put_object(Bucket=bucket, Key=f"big/{n}", Body=data)),
    )
    cost(
        "an MB read",
        n_mb,
        lambda: many(N_OBJECTS, lambda n: s3.get_object(Bucket=bucket, Key=f"big/{n}")["Body"].read()),
    )
    return costs


def created(client: Any, requests: list[dict[str, Any]]) -> Callable[[int], object]:
    """Return what creates the job of a number."""
    return lambda n: client.create_training_job(**requests[n])


def rest(client: Any) -> None:
    """Wait until no job is under way, asking seldom: the asking is counted too."""
    while client.list_training_jobs(StatusEquals="InProgress", MaxResults=1)["TrainingJobSummaries"]:
        time.sleep(0.5)


def processes_of(server: ClaryServer) -> dict[str, set[int]]:
    """Return each part's processes."""
    found = state.expect_running(server.data_dir)
    return {part: tree(*(each.pid for each in found.processes if each.name == part)) for part in PARTS}


def spent(processes: Mapping[str, set[int]]) -> dict[str, float]:
    """Return the seconds of CPU that each part has had."""
    return {part: sum(cpu_s(pids).values()) for part, pids in processes.items()}


def invocations(path: Path) -> dict[str, float]:
    """Return the microseconds of an invocation in the edge by its way, as `bench.serving` wrote them."""
    bars = json.loads(path.read_text())["bars"] if path.exists() else []
    known = {each["name"]: float(each["measured"]) for each in bars}
    return {way: known[name] for way, name in WAYS.items() if name in known}


def of_a_job(costs: Mapping[str, Mapping[str, float]], part: str) -> float:
    """Return the milliseconds that a job costs a part, with the calls that look at it."""
    calls = DESCRIBES * costs["DescribeTrainingJob"][part] + LISTS * costs["ListTrainingJobs"][part]
    return costs["a training job"][part] + calls


def shown(report: Report, costs: Mapping[str, Mapping[str, float]], ways: Mapping[str, float]) -> None:
    """Print what one core sustains, and the cores of each size."""
    limits = [(f"{name}, a s", *(per_core(costs[name][part]) for part in PARTS)) for name in costs]
    job = [3600 * per_core(of_a_job(costs, part)) for part in PARTS]
    head = ("a core, half busy", *PARTS)
    report.table("One core sustains", head, [*limits, ("jobs an hour, looked at", *job)])
    report.facts["jobs_an_hour_a_core"] = dict(zip(PARTS, job, strict=True))
    sizes = [
        (f"{n:,} jobs an hour", *(n / 3600 * of_a_job(costs, part) / 1e3 / BUSY for part in PARTS))
        for n in JOBS_AN_HOUR
    ]
    report.table("Cores for jobs", ("", *PARTS), sizes)
    if not ways:
        print("\nCores for invocations: make bench-serving first")
        return
    cores = {way: [n * us / 1e6 / BUSY for n in INVOCATIONS_A_S] for way, us in ways.items()}
    rows = [
        (f"{n:,} invocations a s", *(cores[way][k] for way in cores)) for k, n in enumerate(INVOCATIONS_A_S)
    ]
    report.table("Edge cores for invocations", ("", *cores), rows)
    report.facts["edge_cores"] = cores


def per_core(ms: float) -> float:
    """Return how many of something a core sustains in a second."""
    return BUSY * 1e3 / ms if ms else float("inf")


if __name__ == "__main__":
    raise SystemExit(main())
