"""Lists over a million records of one noun, on SQLite, against one row read by its primary key.

Options: `--rows 1000000`, `--json FILE`, `--keep FOLDER` (data that the next run uses again).
"""

import argparse
import hashlib
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clary.store import listing, records
from clary.store.database import Store
from clary.store.listing import Condition, Position, Query
from clary.store.schema import scope_of
from clary.store.times import to_micros

WHOSE = ACCOUNT, REGION, NOUN = "111122223333", "us-east-1", "TrainingJob"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BAR_MS = 5.0
ROUNDS = 15
FAMILIES = ("churn", "fraud", "forecast", "vision", "ranking")


def rows(n: int) -> Iterator[tuple[object, ...]]:
    """Yield records as the table has them; names are spread over time, one status in twenty is Failed."""
    scope = scope_of(ACCOUNT, REGION, NOUN)
    for i in range(n):
        digest = hashlib.sha256(str(i).encode()).hexdigest()
        # One name in a hundred is a monthly, one in two thousand a quarterly; the first fiftieth legacies.
        special = "-monthly" if i % 100 == 7 else "-quarterly" if i % 2000 == 11 else ""
        family = "legacy" if i < n // 50 else FAMILIES[i % len(FAMILIES)]
        key = f"xgboost-{family}{special}-{digest[:12]}"
        status = "InProgress" if i % 50_000 == 3 else "Failed" if digest[20] in "0" else "Completed"
        created = to_micros(EPOCH) + i * 7_000_000
        document = json.dumps(
            {
                "TrainingJobName": key,
                "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/SageMakerRole",
                "AlgorithmSpecification": {"TrainingImage": "683313688378.dkr.ecr/xgboost:1.7-1"},
                "HyperParameters": {
                    "eta": f"0.{i % 90 + 10}",
                    "max_depth": str(i % 9 + 2),
                    "num_round": "100",
                },
                "InputDataConfig": [
                    {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": f"s3://b/{i}"}}}
                ],
                "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
                "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
                "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
                "FinalMetricDataList": [{"MetricName": "validation:auc", "Value": i % 1000 / 1000}],
            }
        )
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{key}"
        modified = created + int(digest[:6], 16) * 1000
        yield (scope, ACCOUNT, REGION, NOUN, key, arn, status, created, modified, 1, document, "{}")


def load(path: Path, n: int) -> float:
    """Fill the table; return the seconds it took."""
    began = time.perf_counter()
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA synchronous = OFF")
    conn.execute("PRAGMA cache_size = -500000")
    conn.execute("BEGIN")
    conn.executemany(
        "INSERT INTO record (scope, account, region, noun, key, arn, status, created, modified, version,"
        " document, private) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        rows(n),
    )
    conn.execute("COMMIT")
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
    return time.perf_counter() - began


def queries(n: int) -> dict[str, Query]:
    """Return what is measured, by name."""

    def query(
        *where: Condition, sort: str = "created", descending: bool = True, at: int | None = None
    ) -> Query:
        after = None if at is None else Position((to_micros(EPOCH) + at * 7_000_000,), "~")
        return Query(ACCOUNT, REGION, NOUN, where, "all", sort, descending, 100, after)

    def moment(i: int) -> datetime:
        return EPOCH + timedelta(seconds=7 * i)

    def status(value: str) -> Condition:
        return Condition("status", "eq", value)

    def created(first: int, last: int) -> tuple[Condition, Condition]:
        return Condition("created", "gt", moment(first)), Condition("created", "lt", moment(last))

    middle = created(n // 2, n // 2 + n // 100)
    hour = created(n // 2, n // 2 + 500)
    return {
        "newest page": query(),
        "oldest page": query(descending=False),
        "deep page": query(at=n // 2),
        "deep page before a time": query(Condition("created", "lt", moment(n - 5)), at=n // 2),
        "by name": query(sort="key", descending=False),
        "by last change": query(sort="modified"),
        "status, common": query(status("Completed")),
        "status, one in sixteen": query(status("Failed")),
        "status, rare": query(status("InProgress")),
        "status, none": query(status("Stopping")),
        "status, one in sixteen, by name": query(status("Failed"), sort="key"),
        "by status": query(sort="status", descending=False),
        "status, rare, by last change": query(status("InProgress"), sort="modified"),
        "name contains, none": query(name_part("zebra")),
        "name contains, one": query(name_part(hashlib.sha256(b"77").hexdigest()[:12])),
        "name contains, one in 2000": query(name_part("quarterly")),
        "name contains, one in 100": query(name_part("monthly")),
        "name contains, all": query(name_part("xgboost")),
        "name contains, all, by name": query(name_part("xgboost"), sort="key", descending=False),
        "name contains, all, and status": query(name_part("xgboost"), status("Failed")),
        "name contains, one in 100, and status": query(name_part("monthly"), status("Failed")),
        "name contains, one in 2000, and status": query(name_part("quarterly"), status("Failed")),
        "name contains, all, status rare": query(name_part("xgboost"), status("InProgress")),
        "created range of 500, by name": query(*hour, sort="key", descending=False),
        "created range of 1 %, by name": query(*middle, sort="key", descending=False),
        "created after half, by name": query(Condition("created", "gt", moment(n // 2)), sort="key"),
        "created range of 1 %, newest": query(*middle),
        "created range of 1 %, name contains": query(*middle, name_part("fraud"), sort="key"),
    }


def name_part(part: str) -> Condition:
    """Return the condition of `NameContains`."""
    return Condition("key", "contains", part)


def median_ms(function: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """Return the median time of a call and the median of its own CPU time, after two unmeasured calls."""
    wall, cpu = [], []
    for i in range(rounds + 2):
        began, spent = time.perf_counter(), time.thread_time()
        function()
        if i >= 2:
            cpu.append((time.thread_time() - spent) * 1000)
            wall.append((time.perf_counter() - began) * 1000)
    return statistics.median(wall), statistics.median(cpu)


def main() -> int:
    """Load, measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, default=Path("build/bench/store_million.json"))
    parser.add_argument("--keep", type=Path, help="folder of the data, used again when it is there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as scratch:
        folder = chosen.keep or Path(scratch)
        is_loaded = (folder / "clary.db").exists()
        with Store.open(f"sqlite:///{folder / 'clary.db'}") as store:
            if not is_loaded:
                took = load(folder / "clary.db", chosen.rows)
                size = (folder / "clary.db").stat().st_size / 1e9
                print(f"loaded {chosen.rows:,} records in {took:.0f} s, {size:.2f} GB")
            return measure(store, folder / "clary.db", chosen.rows, chosen.json)


def measure(store: Store, path: Path, n: int, report: Path) -> int:
    """Print the table and the bars; return the exit status."""
    raw = sqlite3.connect(path)
    ids = iter(range(n // 3, n))
    one, _ = median_ms(lambda: raw.execute("SELECT * FROM record WHERE id = ?", (next(ids),)).fetchone(), 200)
    raw.close()
    key = store.read(listing.page, Query(*WHOSE, limit=1)).records[0].key
    found, _ = median_ms(lambda: store.read(records.find, *WHOSE, key), 200)
    print(f"\none row by primary key, raw sqlite3 {one:12.3f} ms       1 x")
    print(f"records.find                        {found:12.3f} ms {found / one:7.0f} x\n")

    def show(name: str, query: Query) -> tuple[float, float]:
        n_found = len(store.read(listing.page, query).records)
        wall, cpu = median_ms(lambda: store.read(listing.page, query))
        print(f"{name:42} {wall:8.2f} ms {wall / one:7.0f} x   CPU {cpu:6.2f} ms {n_found:5} records")
        return wall, cpu

    measured = {name: show(name, query) for name, query in queries(n).items()}
    print("\nnot promised: a name that more than 2,000 bear, all of them far from where the list begins")
    show("name contains, one in 50, oldest only", Query(*WHOSE, (name_part("legacy"),)))
    show("name contains, one in 100, by name", Query(*WHOSE, (name_part("monthly"),), sort="key"))
    print()
    for name, (wall, _cpu) in measured.items():
        print(f"{'holds' if wall <= BAR_MS else 'short'}  list: {name}  {wall:.2f} ms  at most {BAR_MS:g} ms")
    lists = {name: {"ms": wall, "cpu_ms": cpu} for name, (wall, cpu) in measured.items()}
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"rows": n, "row_ms": one, "find_ms": found, "lists": lists}, indent=1))
    return 0 if all(wall <= BAR_MS for wall, _cpu in measured.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
