"""The control plane: what a job costs beside its own work, Describe, List, and how soon a log line is there.

    python -m bench.control [--jobs 20] [--rows 1000000] [--only jobs,describe,logs,list] [--json FILE]

A job's overhead is from the CreateTrainingJob call to the Describe that shows Completed, less the same
training in a bare process in the same run, in turns: a fork of a process that has done its imports,
which is the stricter peer. The time of a cold process is printed beside it.
"""

import argparse
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from bench import store_million
from bench._bars import Report, quantile, spread

from clary.cli.supervisor import state
from clary.compute.limits import PATIENT_THREADS
from clary.store.schema import scope_of
from clary.testing.jobs import script_request, training_request, upload_csv, upload_script, wait_for_job
from clary.testing.server import Account, ClaryServer, end_agents

ROWS, COLUMNS, ROUNDS = 10_000, 20, 10
N_COLD = 3
POLL_S = 0.01
N_DESCRIBES = 1_000
N_LISTS = 40
N_LINES, LINE_S = 100, 0.05
PARTS = ("jobs", "describe", "logs", "list")
XGBOOST_BARE = """
import os
import numpy as np, pandas as pd, xgboost
rows = pd.read_csv(os.environ["BARE_DATA"], header=None).to_numpy(np.float32)
matrix = xgboost.DMatrix(rows[:, 1:], rows[:, 0], nthread={threads})
params = {{"objective": "binary:logistic", "eval_metric": "auc", "nthread": {threads}}}
model = xgboost.train(params, matrix, {rounds}, evals=[(matrix, "train")], verbose_eval=True)
model.save_model(os.environ["SM_MODEL_DIR"] + "/model.ubj")
"""
SCRIPT = """
import os
import joblib, pandas as pd
from sklearn.linear_model import LogisticRegression
folder = os.environ.get("SM_CHANNEL_TRAIN")
rows = pd.read_csv(folder + "/data.csv" if folder else os.environ["BARE_DATA"], header=None).to_numpy()
model = LogisticRegression().fit(rows[:, 1:], rows[:, 0])
print("accuracy", model.score(rows[:, 1:], rows[:, 0]))
joblib.dump(model, os.environ["SM_MODEL_DIR"] + "/model.joblib")
"""
PRINTER = f"""
import time
time.sleep(0.5)
for n in range({N_LINES}):
    print("at", time.time(), flush=True)
    time.sleep({LINE_S})
"""


def main() -> int:
    """Measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    parts = chosen.only.split(",")
    report = Report("control")
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)  # jobs of other user ids pass
    try:
        with running(home) as (server, account):
            bucket = upload_csv(account, "train/data.csv", table())
            if "jobs" in parts:
                jobs(report, account, bucket, home, chosen.jobs)
            if "describe" in parts:
                describe(report, account, bucket, server.data_dir / "clary.db")
            if "logs" in parts:
                logs(report, account, bucket)
        if "list" in parts:
            took = load(home / "data/clary.db", account.account_id, chosen.rows)
            print(f"\nloaded {chosen.rows:,} training jobs in {took:.0f} s", flush=True)
            with running(home) as (server, account):
                lists(report, account, server.data_dir / "clary.db", chosen.rows)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)


@contextlib.contextmanager
def running(home: Path) -> Iterator[tuple[ClaryServer, Account]]:
    """Run a Clary that is warm, with its own data folder."""
    server = ClaryServer.start(home / "data")
    try:
        while True:
            found = state.read(server.data_dir)
            if found and all(each.phase == "ready" for each in found.processes):
                break
            time.sleep(0.05)
        yield server, server.account("bench")
    finally:
        server.stop()
        end_agents(server.settings)


def table() -> Any:
    """Return rows with the label first."""
    columns = np.random.default_rng(7).normal(size=(ROWS, COLUMNS))
    label = columns[:, :5].sum(axis=1) + np.random.default_rng(8).normal(size=ROWS) > 0
    return np.column_stack([label, columns])


def jobs(report: Report, account: Account, bucket: str, home: Path, n: int) -> None:
    """Measure bar 3: built-in XGBoost and a scikit-learn script, against bare processes."""
    np.savetxt(home / "bare.csv", table(), delimiter=",", fmt="%.6g")
    source = upload_script(account, bucket, SCRIPT)
    rounds = {"num_round": str(ROUNDS), "objective": "binary:logistic", "eval_metric": "auc"}
    bare = XGBOOST_BARE.format(threads=min(2, os.cpu_count() or 1), rounds=ROUNDS)
    kinds: tuple[tuple[str, str, Callable[[], dict[str, Any]], float], ...] = (
        (
            "built-in XGBoost",
            bare,
            lambda: training_request(account, bucket, hyperparameters=rounds),
            300.0,
        ),
        (
            "scikit-learn script",
            SCRIPT,
            lambda: script_request(account, bucket, source, channels=("train",)),
            500.0,
        ),
    )
    rows = []
    for name, text, request, most_ms in kinds:
        path = home / "bare.py"
        path.write_text(text)
        walls, warms, stages = [], [], []
        with Bare(path, home) as warm:
            warm.run()
            job_s(account, request())
            for _ in range(n):
                wall, stage = job_s(account, request())
                walls.append(wall * 1000)
                stages.append(stage)
                warms.append(warm.run() * 1000)
        colds = [cold_s(path, home) * 1000 for _ in range(N_COLD)]
        job, warm_ms, cold = (quantile(each, 0.5) for each in (walls, warms, colds))
        rows.append(
            (name, job, warm_ms, cold, job - warm_ms, f"{job / warm_ms:.2f} x", f"{job / cold:.2f} x")
        )
        report.facts[name] = {
            "job_ms": spread(walls),
            "bare_warm_ms": spread(warms),
            "bare_cold_ms": spread(colds),
        }
        report.facts[name]["stages_ms"] = medians(stages)
        report.bar(f"job overhead, {name}, {n} jobs, median", job - warm_ms, most_ms)
    head = ("ms, median", "job", "bare, warm", "bare, cold", "overhead", "of warm", "of cold")
    report.table(f"Jobs on {ROWS:,} x {COLUMNS} CSV from S3", head, rows)
    stage_rows = [(name, *report.facts[name]["stages_ms"].values()) for name, *_ in kinds]
    report.table("Where it goes: ms, median, until the next", ("", *STAGES), stage_rows)


STAGES = ("Starting", "Downloading", "Training", "Uploading", "seen")


def job_s(account: Account, request: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """Run a job; return the seconds until it is seen Completed, and the milliseconds in each state."""
    client = account.client("sagemaker")
    began, began_at = time.perf_counter(), time.time()
    client.create_training_job(**request)
    while True:
        described = client.describe_training_job(TrainingJobName=request["TrainingJobName"])
        if described["TrainingJobStatus"] != "InProgress":
            break
        time.sleep(POLL_S)
    wall, ended_at = time.perf_counter() - began, time.time()
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    starts = {
        each["Status"]: each["StartTime"].timestamp() for each in described["SecondaryStatusTransitions"]
    }
    marks = [
        began_at,
        starts["Downloading"],
        starts["Training"],
        starts["Uploading"],
        starts["Completed"],
        ended_at,
    ]
    pairs = zip(STAGES, marks, marks[1:], strict=False)
    return wall, {name: (after - before) * 1000 for name, before, after in pairs}


def medians(stages: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of each stage."""
    return {name: quantile([each[name] for each in stages], 0.5) for name in stages[0]}


class Bare:
    """A process that has done its imports and forks itself for every training."""

    def __init__(self, script: Path, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench._bare", "warm", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=bare_environment(home),
            text=True,
        )

    def __enter__(self) -> "Bare":
        return self

    def __exit__(self, *_exc: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def run(self) -> float:
        """Train once; return the seconds from fork to end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        while True:  # the program prints there, too
            line = self._process.stdout.readline()
            assert line, "the bare process failed"
            with contextlib.suppress(ValueError):
                return float(line)


def cold_s(script: Path, home: Path) -> float:
    """Train in a new process; return its seconds."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench._bare", "cold", str(script)],
        check=True,
        env=bare_environment(home),
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def bare_environment(home: Path) -> dict[str, str]:
    """Return the environment of a bare training; its threads wait as those of jobs do, else it is slower."""
    (home / "model").mkdir(exist_ok=True)
    paths = {"SM_MODEL_DIR": str(home / "model"), "BARE_DATA": str(home / "bare.csv")}
    return os.environ | PATIENT_THREADS | paths


def describe(report: Report, account: Account, bucket: str, path: Path) -> None:
    """Measure bar 4, first half: DescribeTrainingJob, against a row read."""
    request = training_request(account, bucket)
    client = account.client("sagemaker")
    client.create_training_job(**request)
    wait_for_job(account, request["TrainingJobName"])
    times = [
        timed(lambda: client.describe_training_job(TrainingJobName=request["TrainingJobName"]))
        for _ in range(N_DESCRIBES)
    ]
    row_ms = row_read_ms(path)
    found = spread(times)
    rows = [(name, value, f"{value / row_ms:,.0f} x") for name, value in found.items()]
    report.table(f"DescribeTrainingJob, {N_DESCRIBES:,} calls", ("", "ms", "of a row read"), rows)
    report.facts["describe_ms"] = {**found, "row_read": row_ms}
    report.bar("DescribeTrainingJob, median", found["median"], 3.0)
    report.bar("DescribeTrainingJob, p99", found["p99"], 10.0)


def lists(report: Report, account: Account, path: Path, n: int) -> None:
    """Measure bar 4, second half: ListTrainingJobs with filters over many rows, against a row read."""
    client = account.client("sagemaker")
    middle = store_million.EPOCH + timedelta(seconds=7 * n // 2)
    queries: dict[str, dict[str, Any]] = {
        "no filter": {},
        "StatusEquals Failed": {"StatusEquals": "Failed"},
        "StatusEquals InProgress, rare": {"StatusEquals": "InProgress"},
        "NameContains, one in 2000": {"NameContains": "quarterly"},
        "NameContains, none": {"NameContains": "zebra"},
        "NameContains and StatusEquals": {"NameContains": "monthly", "StatusEquals": "Failed"},
        "CreationTimeAfter, by name": {"CreationTimeAfter": middle, "SortBy": "Name"},
        "CreationTimeBefore, newest": {"CreationTimeBefore": middle, "SortOrder": "Descending"},
    }
    row_ms = row_read_ms(path)
    rows = []
    for name, query in queries.items():
        n_found = len(client.list_training_jobs(**query)["TrainingJobSummaries"])
        times = [timed(lambda query=query: client.list_training_jobs(**query)) for _ in range(N_LISTS)]  # type: ignore[misc]
        median = quantile(times, 0.5)
        rows.append((name, n_found, median, quantile(times, 0.99), f"{median / row_ms:,.0f} x"))
        report.bar(f"ListTrainingJobs over {n:,}, {name}, median", median, 10.0)
    report.table(f"ListTrainingJobs over {n:,}", ("", "found", "ms", "p99", "of a row read"), rows)
    report.facts["list_ms"] = {row[0]: row[2] for row in rows}


def load(path: Path, account: str, n: int) -> float:
    """Write training jobs of one account straight into the store; return the seconds."""
    scope = scope_of(account, store_million.REGION, store_million.NOUN)
    began = time.perf_counter()
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA synchronous = OFF")
    conn.execute("PRAGMA cache_size = -500000")
    conn.execute("BEGIN")
    conn.executemany(
        "INSERT INTO record (scope, account, region, noun, key, arn, status, created, modified, version,"
        " document, private) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            (scope, account, *row[2:5], str(row[5]).replace(store_million.ACCOUNT, account), *row[6:])
            for row in store_million.rows(n)
        ),
    )
    conn.execute("COMMIT")
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
    return time.perf_counter() - began


def row_read_ms(path: Path) -> float:
    """Return the median time of one row read by its primary key, with sqlite3 itself."""
    conn = sqlite3.connect(path)
    times = [timed(lambda: conn.execute("SELECT * FROM record WHERE id = 1").fetchone()) for _ in range(500)]
    conn.close()
    return quantile(times, 0.5)


def timed(call: Callable[[], object]) -> float:
    """Return the milliseconds of a call."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def logs(report: Report, account: Account, bucket: str) -> None:
    """Measure bar 5: from the print in the job to the answer of GetLogEvents that has the line."""
    source = upload_script(account, bucket, PRINTER, key="printer/sourcedir.tar.gz")
    request = script_request(account, bucket, source)
    client, name = account.client("logs"), request["TrainingJobName"]
    where: dict[str, Any] = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    account.client("sagemaker").create_training_job(**request)
    while "logStreamName" not in where:
        with contextlib.suppress(client.exceptions.ResourceNotFoundException):
            found = client.describe_log_streams(**where, logStreamNamePrefix=f"{name}/")["logStreams"]
            where |= {"logStreamName": found[0]["logStreamName"]} if found else {}
        time.sleep(POLL_S)
    late: list[float] = []
    deadline = time.monotonic() + 60
    while len(late) < N_LINES and time.monotonic() < deadline:
        page = client.get_log_events(**where, startFromHead=True)
        now = time.time()
        lines = [event["message"] for event in page["events"] if event["message"].startswith("at ")]
        late += [(now - float(line.split()[1])) * 1000 for line in lines]
        where["nextToken"] = page["nextForwardToken"]
        time.sleep(POLL_S)
    wait_for_job(account, name)
    assert len(late) == N_LINES, f"{len(late)} of {N_LINES} lines came"
    found_ms = spread(late)
    report.table(f"A printed line in GetLogEvents, {N_LINES} lines", ("", "ms"), list(found_ms.items()))
    report.facts["log_line_ms"] = found_ms
    report.bar("log line readable, p99", found_ms["p99"], 200.0)


if __name__ == "__main__":
    sys.exit(main())
