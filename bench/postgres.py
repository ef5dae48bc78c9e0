"""A million jobs on PostgreSQL: the plans of every list, and 200 clients that describe and list at a time.

    python -m bench.postgres [--rows 1000000] [--clients 200] [--seconds 10] [--json FILE]

The plans are run (`EXPLAIN ANALYZE`) over a tenth of the rows and over all of them: what a page touches must
not grow with the table. The clients are a program in C that sends requests signed beforehand, over the public
port.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import _plans, store_million
from bench._bars import Report
from bench._drive import Driver, built, cpu_s, tree
from bench._plans import Touched
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from sqlalchemy import make_url

from clary.kernel import ids
from clary.store import listing
from clary.store.database import Store
from clary.store.listing import Query
from clary.testing import postgres
from clary.testing.jobs import new_bucket, script_request, upload_script, wait_for_job
from clary.testing.server import Account, ClaryServer, end_agents

MOST_ROWS = 15_000
"""That one page may touch, whatever the filters: a walk as SQLite's plans allow themselves, and samples."""
N_DESCRIBED = 512
N_CREATED, N_CREATORS, CREATE_S = 12_000, 32, 5.0
"""Each is created once: more than fit into the seconds."""
N_JOBS = 41
LISTS: tuple[Mapping[str, Any], ...] = (
    {},
    {"StatusEquals": "Failed"},
    {"NameContains": "quarterly"},
    {"SortBy": "Name", "SortOrder": "Ascending"},
    {"NameContains": "monthly", "StatusEquals": "Failed"},
)


def main() -> int:
    """Fill, explain, load, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    report = Report("postgres")
    if why := measure(report, chosen.rows, chosen.clients, chosen.seconds):
        print(why)
        return 2
    return report.finish(chosen.json)


def measure(report: Report, n_rows: int, n_clients: int, seconds: float) -> str:
    """Measure all of it; return why it cannot be, if so."""
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)  # jobs of other user ids pass
    try:
        binary = built("load", home)
        if why := postgres.missing() or ("" if binary else "no C compiler here: apt install gcc"):
            return why
        assert binary is not None
        options = {"shared_buffers": "512MB", "maintenance_work_mem": "256MB"}
        with (
            postgres.server(connections=200, is_durable=True, **options) as url,
            running(home, url) as server,
        ):
            site = Site(server, server.account("bench"), Driver(binary, home), postmaster_of(url))
            with Store.open(url, server.data_dir / "secret.key") as store:
                names = plans(report, store, url, site.account.account_id, n_rows)
            clients(report, site, names, n_clients, seconds)
            dispatch(report, site)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return ""


@contextmanager
def running(home: Path, url: str) -> Iterator[ClaryServer]:
    """Run a Clary over the database."""
    server = ClaryServer.start(home / "data", store_url=url)
    try:
        yield server
    finally:
        server.stop()
        end_agents(server.settings)


def plans(report: Report, store: Store, url: str, account: str, n_rows: int) -> list[str]:
    """Prove that no list reads more rows as the table grows; return names of the newest jobs."""
    found: list[dict[str, Touched]] = []
    filled = 0
    for size in (n_rows // 10, n_rows):
        began = time.perf_counter()
        _plans.fill(store, account, filled, size)
        _plans.settle(url)
        print(f"filled to {size:,} jobs in {time.perf_counter() - began:.0f} s", flush=True)
        filled = size
        queries = {name: replace(each, account=account) for name, each in store_million.queries(size).items()}
        found.append({name: _plans.explain(store, query) for name, query in queries.items()})
    few, many = found
    rows = [
        (name, few[name].n_rows, each.n_rows, each.n_pages, each.ms, each.nodes[0])
        for name, each in many.items()
    ]
    head = ("", f"of {n_rows // 10:,}", f"of {n_rows:,}", "8 KiB pages", "ms", "first scan")
    report.table("Rows that the plan of one page touches", head, rows)
    most = max(each.n_rows for each in many.values())
    report.bar(f"rows of {n_rows:,} that a page touches, the worst list", most, MOST_ROWS, "rows")
    walked = [name for name, each in many.items() if any(node.startswith("Seq Scan") for node in each.nodes)]
    report.bar("lists whose plan scans the table", len(walked), 0.0, "lists")
    report.facts["rows_touched"] = {name: [few[name].n_rows, each.n_rows] for name, each in many.items()}
    report.facts["pages_touched"] = {name: each.n_pages for name, each in many.items()}
    page = store.read(
        listing.page, Query(account, store_million.REGION, store_million.NOUN, limit=N_DESCRIBED)
    )
    return [each.key for each in page.records]


def clients(report: Report, site: "Site", names: list[str], n_clients: int, seconds: float) -> None:
    """Have clients describe, list and create, as many as can be at a time."""
    described = [site.sent("DescribeTrainingJob", {"TrainingJobName": each}) for each in names]
    listed = [site.sent("ListTrainingJobs", {"MaxResults": 10, **each}) for each in LISTS]
    made = [
        site.sent("CreateExperiment", {"ExperimentName": f"made-{ids.short(12)}"}) for _ in range(N_CREATED)
    ]
    windows = (
        ("DescribeTrainingJob", described, n_clients, seconds),
        ("ListTrainingJobs", listed, n_clients, seconds),
        ("CreateExperiment", made, N_CREATORS, CREATE_S),
    )
    rows = []
    for name, requests, n, window_s in windows:
        before = site.cpu_s()
        load = site.driver.run(site.server.settings.port, requests, connections=n, seconds=window_s, pids=())
        spent = {part: (after - before[part]) * 1e6 / max(1, load.n) for part, after in site.cpu_s().items()}
        rows.append((name, n, load.rps, load.p50_us / 1000, load.p99_us / 1000, *spent.values()))
        report.bar(f"{name}, {n} clients at a time: answers that are errors", load.errors, 0.0, "")
        report.facts[name] = {
            "clients": n,
            "per_s": load.rps,
            "p50_ms": load.p50_us / 1000,
            "p99_ms": load.p99_us / 1000,
            "cpu_us": spent,
        }
    head = ("", "clients", "calls/s", "p50 ms", "p99 ms", *(f"{part} us" for part in site.cpu_s()))
    report.table("Clients without rest, and the CPU of each part for one call", head, rows)


def dispatch(report: Report, site: "Site") -> None:
    """Hand in jobs that do nothing, all at once; say how many an hour, and what each costs."""
    account = site.account
    source = upload_script(account, new_bucket(account), "print('done')")
    bucket = source.split("/")[2]
    requests = [script_request(account, bucket, source, instance_type="ml.t3.medium") for _ in range(N_JOBS)]
    wait_for_job(account, site.started(requests[0]))
    before, began = site.cpu_s(), time.perf_counter()
    names = [site.started(each) for each in requests[1:]]
    for name in names:
        described = wait_for_job(account, name, limit_s=240.0)
        assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    took_s = time.perf_counter() - began
    spent_ms = {part: (after - before[part]) * 1000 / len(names) for part, after in site.cpu_s().items()}
    report.table(
        f"{len(names)} jobs at once",
        ("", "jobs/hour", *(f"{part} ms a job" for part in spent_ms)),
        [("as this machine runs them", len(names) * 3600 / took_s, *spent_ms.values())],
    )
    report.facts["jobs"] = {"n": len(names), "s": took_s, "cpu_ms": spent_ms}


@dataclass(frozen=True)
class Site:
    """What is loaded, and by what."""

    server: ClaryServer
    account: Account
    driver: Driver
    postmaster: int

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds of each part so far."""
        roots = {
            "control": self.server.pid("control"),
            "edge": self.server.pid("edge"),
            "postgres": self.postmaster,
        }
        return {part: sum(cpu_s(tree(root)).values()) + reaped_s(root) for part, root in roots.items()}

    def started(self, request: dict[str, Any]) -> str:
        """Create a training job; return its name."""
        self.account.client("sagemaker").create_training_job(**request)
        name: str = request["TrainingJobName"]
        return name

    def sent(self, operation: str, document: Mapping[str, Any]) -> bytes:
        """Return a signed request as it goes over the wire."""
        account, body = self.account, json.dumps(document).encode()
        host = account.url.partition("://")[2]
        keys = Credentials(account.access_key_id, account.secret_access_key)
        headers = {"X-Amz-Target": f"SageMaker.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        request = AWSRequest("POST", f"http://{host}/", data=body, headers=headers)
        SigV4Auth(keys, "sagemaker", account.region).add_auth(request)
        lines = ["POST / HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() != "host"]
        return "\r\n".join([*lines, "", ""]).encode() + body


def reaped_s(pid: int) -> float:
    """Return the CPU seconds of a process's children that have ended: PostgreSQL's come and go."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def postmaster_of(url: str) -> int:
    """Return the pid of a server of `clary.testing.postgres`."""
    home = Path(str(make_url(url).query["host"]))
    return int((home / "data" / "postmaster.pid").read_text().split()[0])


if __name__ == "__main__":
    sys.exit(main())
