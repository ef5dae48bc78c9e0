"""Makes the dumps beside it: every row of a small store, as the code of an earlier release wrote it.

    git worktree add /tmp/release <commit of that release>
    PYTHONPATH=/tmp/release/src python tests/upgrade/dump.py tests/upgrade/schema_<version>.json

The commits so far: 7bb0685 wrote schema 0001, 51e7909 schema 0003.
"""

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from clary.store import identities, logs, metrics, records, runs, work
from clary.store.database import Store
from clary.store.identities import Credential
from clary.store.migrations import HEAD
from clary.store.records import Record
from clary.store.schema import METADATA
from clary.store.work import Work

ACCOUNT, REGION = "111122223333", "us-east-1"
BORN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TUNING = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:hyper-parameter-tuning-job/tune"


def fill(conn: sa.Connection) -> None:
    """Write something into every table."""
    identities.create_account(conn, "team", ACCOUNT, BORN)
    principal = f"arn:aws:sts::{ACCOUNT}:assumed-role/SageMakerRole/team"
    identities.insert(conn, Credential("AKIATEAM", "hidden", ACCOUNT, principal, None, None))
    identities.insert(
        conn, Credential("ASIAJOB", "short", ACCOUNT, principal, "session", BORN + timedelta(days=30))
    )
    for n, status in enumerate(("Completed", "Failed", "InProgress")):
        name = f"job-{n}"
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name}"
        document = {"TrainingJobName": name, "TrainingJobArn": arn, "TuningJobArn": TUNING, "eta": 0.1 * n}
        born = BORN + timedelta(minutes=n)
        record = Record(ACCOUNT, REGION, "TrainingJob", name, arn, status, born, born, document, {"n": n}, 1)
        records.insert(conn, record)
        work.arm(conn, Work(arn, "TrainingJob", "Training", born, memory={"attempt": n + 1}))
        runs.open_run(conn, f"run-{n}", arn, "", "", {"access_key_id": "ASIAJOB", "name": name})
        logs.append(conn, ACCOUNT, REGION, "/aws/sagemaker/TrainingJobs", f"{name}/algo-1", [(n, "line")], n)
        metrics.append(
            conn, [(ACCOUNT, REGION, "/m", "loss", {"TrainingJobName": name}, 1000 + n, 0.5 * n, "None")]
        )
    work.claim(conn, BORN + timedelta(hours=1), "a host", 1, 30.0)
    run = runs.find_run(conn, "run-0")
    assert run is not None
    whose: Any = run.run_id if HEAD == "0001" else run
    runs.report(conn, whose, "algo-1", 7, "Training", None, None)


def main(path: Path) -> None:
    """Fill a store, and write its rows down."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "secret.key"
        with Store.open(f"sqlite:///{folder}/clary.db", key) as store:
            store.write(fill)
            tables = store.read(
                lambda conn: {
                    table.name: [dict(row) for row in conn.execute(sa.select(table)).mappings()]
                    for table in METADATA.sorted_tables
                }
            )
        written = {"version": HEAD, "key": key.read_text(), "tables": tables}
        path.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
