"""A tuning job of ten thousand finished trials: lists, sorts, searches."""

import json
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from bench._bars import Report, quantile
from bench.control import running, timed

from clary.kernel import ids
from clary.store.times import to_micros
from clary.testing.jobs import upload_csv
from clary.testing.tuning import tuned, tuning_request

N_MANY = 10_000


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
