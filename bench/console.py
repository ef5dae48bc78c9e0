"""The console: what a page costs on the server, what it weighs, and how soon a printed line is on the screen.

    python -m bench.console [--jobs 10000] [--rounds 30] [--python .venvs/notebooks/bin/python] [--json FILE]

A page's time is from the request to its last byte, over loopback, through the edge, beside that of
ListTrainingJobs asked by boto3 in the same run; its weight is what a browser loads for the first time, gzip.
A line's time is from its print in the job to its event in the page's stream, and to its being drawn by
Chromium where there is one. Where there is an environment for notebooks, `bench.notebooks` is measured, too.
"""

import argparse
import gzip
import http.client
import re
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from bench import _screen, notebooks
from bench._bars import Report, quantile, spread
from bench.control import N_LINES, PRINTER, load, running, timed

from clary.testing.jobs import new_bucket, script_request, upload_script, wait_for_job
from clary.testing.server import Account

BASE = "/_clary/console"
N_LATE = 90
"""Lines that must have come for the figures to count."""


def main() -> int:
    """Measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--python", type=Path, default=Path(".venvs/notebooks/bin/python"))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    report = Report("console")
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)
    try:
        with running(home) as (server, account):
            load(server.data_dir / "clary.db", account.account_id, chosen.jobs)
            visitor = Visitor(account)
            job = lines(report, account, visitor)
            _screen.measure(report, account, lambda: printing(account), N_LINES)
            pages(report, account, visitor, job, chosen)
        if chosen.python.exists():
            notebooks.measure(report, home / "notebooks", str(chosen.python.absolute()))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)


class Visitor:
    """A browser that is signed in, over one connection."""

    def __init__(self, account: Account) -> None:
        self._host = urlsplit(account.url).netloc
        self._connection = http.client.HTTPConnection(self._host, timeout=60)
        form = urlencode({"name": account.access_key_id, "secret": account.secret_access_key})
        self._connection.request(
            "POST", f"{BASE}/sign-in", form, {"content-type": "application/x-www-form-urlencoded"}
        )
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}

    def get(self, path: str) -> bytes:
        """Return a page, or a file of it."""
        self._connection.request("GET", path, headers=self._cookie)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status)
        return body

    def stream(self, path: str) -> http.client.HTTPResponse:
        """Open the events of a page."""
        connection = http.client.HTTPConnection(self._host, timeout=60)
        connection.request("GET", f"{BASE}{path}?live=1", headers=self._cookie)
        return connection.getresponse()


def lines(report: Report, account: Account, visitor: Visitor) -> str:
    """Measure from a print to the event that has it; return the job's name."""
    name = printing(account)
    late_ms: list[float] = []
    events = visitor.stream(f"/jobs/training/{name}")
    reader = threading.Thread(target=_follow, args=(events, late_ms), daemon=True)
    reader.start()
    wait_for_job(account, name, limit_s=120)
    reader.join(10)
    assert len(late_ms) >= N_LATE, f"{len(late_ms)} of {N_LINES} lines came"
    found = spread(late_ms)
    report.table("A printed line on the screen", ("", "ms"), list(found.items()))
    report.facts["line_ms"] = found
    report.bar("log line on the screen, p99", found["p99"], 500.0)
    return name


def printing(account: Account) -> str:
    """Start a job that prints the time, again and again; return its name."""
    bucket = new_bucket(account)
    request = script_request(account, bucket, upload_script(account, bucket, PRINTER))
    account.client("sagemaker").create_training_job(**request)
    name: str = request["TrainingJobName"]
    return name


def _follow(events: http.client.HTTPResponse, late_ms: list[float]) -> None:
    for raw in events:
        if raw.startswith(b'data: {"lines"'):
            now = time.time()
            printed = re.findall(r"at (\d+\.\d+)", raw.decode())
            late_ms += [1000 * (now - float(each)) for each in printed]
        if len(late_ms) >= N_LINES:
            return


def pages(report: Report, account: Account, visitor: Visitor, job: str, chosen: argparse.Namespace) -> None:
    """Measure time and weight of every page."""
    sagemaker = account.client("sagemaker")
    api_ms = quantile(
        [timed(lambda: sagemaker.list_training_jobs(MaxResults=25)) for _ in range(chosen.rounds)], 0.5
    )
    shown = {
        "jobs, newest": "/jobs/training",
        "jobs, by name": "/jobs/training?name=monthly",
        "jobs, failed, by name": "/jobs/training?status=Failed&sort=Name&order=Ascending",
        "home": "/",
        "job": f"/jobs/training/{job}",
        **{
            name: f"/{name}"
            for name in (
                "experiments",
                "lineage",
                "data",
                "endpoints",
                "models",
                "registry",
                "notebooks",
                "studio",
            )
        },
        **{name: f"/{name}" for name in ("train", "train/xgboost", "train/linear_learner", "process/script")},
        **{name: f"/{name}" for name in ("account", "health", "coverage", "evaluate")},
    }
    rows, facts = [], {}
    for name, path in shown.items():
        body = visitor.get(f"{BASE}{path}")
        times = [timed(lambda path=path: visitor.get(f"{BASE}{path}")) for _ in range(chosen.rounds)]  # type: ignore[misc]
        median, weight = quantile(times, 0.5), _weight(visitor, body)
        rows.append((name, median, quantile(times, 0.95), f"{median / api_ms:.1f} x", weight / 1000))
        facts[name] = {"ms": median, "kB": weight / 1000}
        if name.startswith("jobs"):
            report.bar(f"{name}, of {chosen.jobs:,}, median", median, 200.0)
    report.table("Pages", ("", "ms", "p95", "of a ListTrainingJobs", "kB, gzip"), rows)
    report.facts["pages"] = facts
    report.bar("weight of the heaviest page, gzip", max(each["kB"] for each in facts.values()), 150.0, "kB")


def _weight(visitor: Visitor, body: bytes) -> float:
    """Return the bytes of a page with its own files, without the library that draws charts."""
    files = set(re.findall(r'(?:href|src)="(/_clary/console/static/[^"]+)"', body.decode()))
    loaded = [body, *(visitor.get(each) for each in sorted(files) if "/vendor/" not in each)]
    return float(sum(len(gzip.compress(each)) for each in loaded))


if __name__ == "__main__":
    sys.exit(main())
