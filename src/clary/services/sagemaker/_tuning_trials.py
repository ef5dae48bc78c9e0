"""Trials of a tuning job: a small record beside each training job, and the ledger that reads them.

    HyperParameterTrial <job> <its creation>   (noun without operations, one row a trial)
      document   what ListTrainingJobsForHyperParameterTuningJob shows
      private    index, definition, whether its end was taken in, its curve

The training jobs tell how trials stand; the small rows are what a job of ten thousand trials sorts by its
objective, and learns from, without reading ten thousand training jobs.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from clary.engine import jobmetrics
from clary.engine.world import World
from clary.resource.declare import Resource
from clary.store import listing, metrics, records
from clary.store.listing import Condition, Query
from clary.store.records import Record
from clary.tuning.study import Study, Trial

NOUN = "HyperParameterTrial"
TRIAL = Resource(
    noun=NOUN,
    arn="",
    key="TrainingJobName",
    status="TrainingJobStatus",
    descending=False,
)
ENDED = frozenset({"Completed", "Failed", "Stopped"})
OVERLAP = timedelta(seconds=10)
"""The ledger reads again what was written so shortly before its newest row: clocks differ a little."""
PAGE = 1_000


@dataclass
class Ledger:
    """All trials of one tuning job, by index."""

    rows: dict[int, Record] = field(default_factory=dict)
    newest: datetime | None = None
    ahead: dict[str, tuple[Study, int, dict[str, str] | None]] = field(default_factory=dict)
    """By definition: the study, the index and the hyperparameters of the last choice."""

    @property
    def open(self) -> list[Record]:
        """Trials whose end was not taken in yet."""
        return [row for row in self.sorted() if not row.private.get("settled")]

    def sorted(self) -> list[Record]:
        """Return all, in the order of their index."""
        return [self.rows[index] for index in sorted(self.rows)]

    def put(self, row: Record) -> None:
        """Take in a row's newest state."""
        self.rows[int(row.private["index"])] = row

    def objectives(self) -> list[float]:
        """Return the objectives of the trials that have one, in order."""
        found = (objective_of(row) for row in self.sorted() if row.private.get("settled"))
        return [value for value in found if value is not None]


def name_of(tuning: Record, index: int) -> str:
    """Return the name of a trial's training job, as the service makes it: `<job>-<index>-<8 hex digits>`.

    It follows from the tuning job and the index alone: a step that runs twice finds the name taken.
    """
    seed = f"{tuning.arn}:{tuning.created.isoformat()}:{index}"
    return f"{tuning.key}-{index:03d}-{hashlib.sha256(seed.encode()).hexdigest()[:8]}"


def read(world: World, tuning: Record) -> Ledger:
    """Return the ledger: what this process knows, and what was written since."""
    known: dict[str, Ledger] = world.extras.setdefault("tuning-ledgers", {})
    mark = f"{tuning.arn}@{tuning.created.isoformat()}"
    ledger = known.get(mark) or Ledger()
    since = [] if ledger.newest is None else [Condition("modified", "ge", ledger.newest - OVERLAP)]
    for row in world.store.read(_rows, tuning, since):
        ledger.put(row)
        ledger.newest = max(ledger.newest or row.modified, row.modified)
    known[mark] = ledger
    return ledger


def forget(world: World, tuning: Record) -> None:
    """Let go of a job's ledger."""
    world.extras.get("tuning-ledgers", {}).pop(f"{tuning.arn}@{tuning.created.isoformat()}", None)


def noun_of(tuning: Record) -> str:
    """Return the noun of one job's trials: every index of the store begins with it, so lists read no others.

    A later job of the same name has another.
    """
    return f"{NOUN} {tuning.key} {tuning.created.isoformat()}"


def resource_of(tuning: Record) -> Resource:
    """Return the resource that lists one job's trials."""
    return replace(TRIAL, noun=noun_of(tuning))


def _rows(conn: Connection, tuning: Record, since: list[Condition]) -> list[Record]:
    return list(_pages(conn, tuning, since))


def _pages(conn: Connection, tuning: Record, since: list[Condition]) -> Iterator[Record]:
    query = Query(
        account=tuning.account,
        region=tuning.region,
        noun=noun_of(tuning),
        where=tuple(since),
        sort="key",
        descending=False,
        limit=PAGE,
    )
    while True:
        page = listing.page(conn, query)
        yield from page.records
        if page.next is None:
            return
        query = replace(query, after=page.next)


def drop(conn: Connection, tuning: Record) -> None:
    """Delete a job's trials; their training jobs stay."""
    for row in _rows(conn, tuning, []):
        records.delete(conn, row.account, row.region, row.noun, row.key)


def made(tuning: Record, training: Record, index: int, definition: str, tuned: Mapping[str, str]) -> Record:
    """Return the row of a trial that begins."""
    document: dict[str, Any] = {
        "TrainingJobName": training.key,
        "TrainingJobArn": training.arn,
        "TuningJobName": tuning.key,
        "TunedHyperParameters": dict(tuned),
        "ObjectiveStatus": "Pending",
    }
    if definition:
        document["TrainingJobDefinitionName"] = definition
    return Record(
        account=tuning.account,
        region=tuning.region,
        noun=noun_of(tuning),
        key=training.key,
        arn="",
        status="InProgress",
        created=training.created,
        modified=training.created,
        document=document,
        private={"index": index, "definition": definition},
    )


def followed(
    row: Record, training: Record | None, objective: Mapping[str, str], now: datetime
) -> Record | None:
    """Return a trial's row as its training job stands now; None where nothing has changed.

    Parameters
    ----------
    training : Record or None
        None where somebody has deleted the training job.
    objective : mapping
        `Type` and `MetricName`.
    """
    if training is None:
        gone = {"ObjectiveStatus": "Failed", "FailureReason": "ClientError: the training job was deleted."}
        return _settled(row, "Failed", {**row.document, **gone}, now)
    document = dict(row.document)
    for member in ("TrainingStartTime", "TrainingEndTime", "FailureReason"):
        if training.document.get(member) is not None:
            document[member] = training.document[member]
    if training.status not in ENDED:
        is_same = training.status == row.status and document == dict(row.document)
        return None if is_same else replace(row, status=training.status, document=document, modified=now)
    final = training.document.get("FinalMetricDataList") or ()
    value = next((each["Value"] for each in final if each["MetricName"] == objective["MetricName"]), None)
    has_objective = value is not None and training.status != "Failed"
    document["ObjectiveStatus"] = "Succeeded" if has_objective else "Failed"
    if has_objective:
        document["FinalHyperParameterTuningJobObjectiveMetric"] = {
            "Type": objective["Type"],
            "MetricName": objective["MetricName"],
            "Value": float(value or 0.0),
        }
    return _settled(row, training.status, document, now)


def _settled(row: Record, status: str, document: Mapping[str, Any], now: datetime) -> Record:
    private = {**row.private, "settled": True}
    return replace(row, status=status, document=document, private=private, modified=now)


def curve(world: World, row: Record, metric: str) -> list[float]:
    """Return every value of the objective that a trial has printed so far, in order."""
    kept = row.private.get("curve")
    if kept is not None:
        return list(kept)
    found = world.store.read(
        metrics.points, row.account, row.region, jobmetrics.NAMESPACE, metric, {"TrainingJobName": row.key}
    )
    return [float(value) for _ms, value, _unit in found]


def objective_of(row: Record) -> float | None:
    """Return the final objective, or None."""
    metric = row.document.get("FinalHyperParameterTuningJobObjectiveMetric")
    return None if metric is None else float(metric["Value"])


def as_trial(row: Record, values: Mapping[str, str] | None = None) -> Trial:
    """Return a row as strategies see it."""
    return Trial(
        index=int(row.private["index"]),
        values=values if values is not None else row.document["TunedHyperParameters"],
        objective=objective_of(row),
        is_running=not row.private.get("settled"),
    )


def summary(row: Record) -> dict[str, Any]:
    """Return a trial as `HyperParameterTrainingJobSummary`."""
    return {**row.document, "CreationTime": row.created, "TrainingJobStatus": row.status}


def best_of(rows: list[Record]) -> Record | None:
    """Return the row with the best objective, the first of equal ones."""
    found = [row for row in rows if objective_of(row) is not None]

    def rank(row: Record) -> tuple[float, datetime, str]:
        metric = row.document["FinalHyperParameterTuningJobObjectiveMetric"]
        sign = -1.0 if metric["Type"] == "Maximize" else 1.0
        return sign * float(metric["Value"]), row.created, row.key

    return min(found, key=rank, default=None)


def counters(rows: list[Record]) -> dict[str, dict[str, int]]:
    """Return both counters of DescribeHyperParameterTuningJob."""
    status: Counter[str] = Counter()
    objective: Counter[str] = Counter()
    for row in rows:
        objective[row.document["ObjectiveStatus"]] += 1
        if row.status == "Failed":
            is_ours = str(row.document.get("FailureReason", "")).startswith("InternalServerError")
            status["RetryableError" if is_ours else "NonRetryableError"] += 1
        else:
            status[row.status if row.status in ENDED else "InProgress"] += 1
    kinds = ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped")
    return {
        "TrainingJobStatusCounters": {kind: status[kind] for kind in kinds},
        "ObjectiveStatusCounters": {kind: objective[kind] for kind in ("Succeeded", "Pending", "Failed")},
    }
