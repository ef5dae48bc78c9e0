"""Experiments: 10,000 finished trials listed, sorted, searched; and what recording itself costs a job.

    python -m bench.experiments [--trials 10000] [--json FILE]

The trials are written straight to the store, half of them without their trial components and lineage: the
difference is what recording costs. Then a control plane answers over them, through boto3.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench._bars import Report, quantile
from sqlalchemy import Connection

from clary.engine import notes
from clary.services.sagemaker import _tracing
from clary.store import metrics, records
from clary.store.database import Store
from clary.store.records import Record
from clary.testing.server import Account, ClaryServer, end_agents

MOST_MS = 100.0
MOST_RECORD_MS = 10.0
GROUP = 250
REPEATS = 15
START = datetime(2026, 1, 1, tzinfo=UTC)
EXPERIMENT = "tuned"


def main() -> int:
    """Measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    report = Report("experiments")
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)
    try:
        server = ClaryServer.start(home / "data")
        account = server.account("bench")
        make_parents(account)
        server.stop()
        with Store.open(server.settings.store_dsn, home / "data" / "secret.key") as store:
            fill(report, store, account, chosen.trials)
        server = ClaryServer.start(home / "data")
        try:
            ask(report, server.account("bench"), chosen.trials)
        finally:
            server.stop()
            end_agents(server.settings)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)


def make_parents(account: Account) -> None:
    """Make the experiment and the trial that all are in."""
    client = account.client("sagemaker")
    client.create_experiment(ExperimentName=EXPERIMENT)
    client.create_trial(ExperimentName=EXPERIMENT, TrialName=EXPERIMENT)


def job(account: Account, n: int) -> Record:
    """Return a finished training job."""
    name = f"tuned-{n:06d}"
    created = START + timedelta(seconds=n)
    value = (n * 7919 % 10_000) / 10_000
    parameters = {f"parameter_{i}": str((n * (i + 3)) % 97 / 97) for i in range(12)}
    bucket = f"s3://sagemaker-{account.region}-{account.account_id}"
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{bucket}/train"}
    document: dict[str, Any] = {
        "TrainingJobName": name,
        "HyperParameters": {**parameters, "objective": "binary:logistic"},
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "ModelArtifacts": {"S3ModelArtifacts": f"{bucket}/out/{name}/output/model.tar.gz"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "TrainingStartTime": created,
        "TrainingEndTime": created + timedelta(seconds=9),
        "FinalMetricDataList": [{"MetricName": "validation:auc", "Value": value, "Timestamp": created}],
        "ExperimentConfig": {"ExperimentName": EXPERIMENT, "TrialName": EXPERIMENT},
    }
    arn = f"arn:aws:sagemaker:{account.region}:{account.account_id}:training-job/{name}"
    return Record(
        account.account_id, account.region, "TrainingJob", name, arn, "Completed", created, created, document
    )


def write(conn: Connection, each: Record, *, is_traced: bool) -> None:
    """Write one job with ten points of a metric, as its Create, its reports and its end do."""
    records.insert(conn, each)
    if is_traced:
        notes.write(conn, _tracing.of_job, None, each)
    value = each.document["FinalMetricDataList"][0]["Value"]
    dimensions = {"TrainingJobName": each.key}
    points = [
        (each.account, each.region, "/aws/sagemaker/TrainingJobs", "validation:auc", dimensions, 1000 * n,
         value * (n + 1) / 10, "None")
        for n in range(10)
    ]  # fmt: skip
    metrics.append(conn, points)
    records.update(conn, each)
    if is_traced:
        notes.write(conn, _tracing.of_job, each, each)


def fill(report: Report, store: Store, account: Account, n_trials: int) -> None:
    """Write the trials; then as many in another region without what is recorded of them."""
    spent = {}
    for is_traced in (False, True):
        began = time.perf_counter()
        for at in range(0, n_trials, GROUP):

            def unit(conn: Connection, first: int = at, traced: bool = is_traced) -> None:
                for n in range(first, min(first + GROUP, n_trials)):
                    each = job(account, n)
                    if not traced:
                        each = replace(each, region="eu-west-1", arn=f"{each.arn}-untraced")
                    write(conn, each, is_traced=traced)

            store.write(unit)
        spent[is_traced] = (time.perf_counter() - began) * 1000 / n_trials
    report.table(
        "Writing one job to the store",
        ("", "ms"),
        [("as it was", f"{spent[False]:.2f}"), ("with component and lineage", f"{spent[True]:.2f}")],
    )
    report.bar("recording itself costs a job", spent[True] - spent[False], MOST_RECORD_MS)


def ask(report: Report, account: Account, n_trials: int) -> None:
    """Ask what people ask."""
    client = account.client("sagemaker")
    of_experiment = {"Name": "Parents.ExperimentName", "Value": EXPERIMENT}
    component = f"tuned-{n_trials // 2:06d}-aws-training-job"
    arn = client.describe_trial_component(TrialComponentName=component)["TrialComponentArn"]

    def search(resource: str, *filters: dict[str, str], **more: Any) -> Callable[[], Any]:
        expression = {"SearchExpression": {"Filters": list(filters)}} if filters else {}
        return lambda: client.search(Resource=resource, MaxResults=100, **expression, **more)

    components = "ExperimentTrialComponent"
    high = {"Name": "Parameters.parameter_3", "Operator": "GreaterThan", "Value": "2"}
    absent = {"Name": "HyperParameters.objective", "Operator": "Equals", "Value": "no-such"}
    asked: dict[str, Callable[[], Any]] = {
        "ListTrainingJobs": lambda: client.list_training_jobs(MaxResults=100),
        "ListTrialComponents of the experiment": lambda: client.list_trial_components(
            ExperimentName=EXPERIMENT, MaxResults=100
        ),
        "Search components, as the analytics do": search(components, of_experiment),
        "Search components, by a metric": search(
            components, of_experiment, SortBy="metrics.validation:auc.max"
        ),
        "Search components, two names": search(
            components, {"Name": "TrialComponentName", "Value": component}, of_experiment
        ),
        "Search components, nothing found": search(components, of_experiment, high),
        "Search jobs, by the objective": search("TrainingJob", SortBy="Metrics.validation:auc"),
        "Search jobs, nothing found": search("TrainingJob", absent),
        "QueryLineage of a component": lambda: client.query_lineage(StartArns=[arn], Direction="Both"),
    }
    rows = []
    for name, call in asked.items():
        call()
        took = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            call()
            took.append((time.perf_counter() - began) * 1000)
        rows.append((name, f"{quantile(took, 0.5):.1f}", f"{quantile(took, 0.9):.1f}"))
        report.bar(name, quantile(took, 0.5), MOST_MS)
    report.table(f"Over {n_trials:,} finished trials", ("a page of 100", "median ms", "90 % ms"), rows)


if __name__ == "__main__":
    raise SystemExit(main())
