"""Runs as MLflow has them: trial components in the experiment's group of runs, where SDK v2 has its own."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from clary.gateway.mlflow import experiments
from clary.gateway.mlflow.errors import invalid, missing
from clary.gateway.mlflow.experiments import STAGE, TAGS
from clary.gateway.mlflow.values import as_float, metric_shown, parameter_of, text_of
from clary.kernel import ids
from clary.kernel.clock import epoch_ms, from_epoch_ms
from clary.kernel.errors import ConflictException
from clary.resource.call import AMEND_TRIES, Call
from clary.services.sagemaker import _components as components
from clary.services.sagemaker import _lineage as lineage
from clary.services.sagemaker._experiments import signed_by
from clary.services.sagemaker_metrics.metric import points_of
from clary.store import records, tags, trials
from clary.store.base import Stale
from clary.store.records import Record
from clary.store.trials import Point

STATUSES = {"RUNNING": "InProgress", "SCHEDULED": "InProgress", "FINISHED": "Completed", "FAILED": "Failed",
            "KILLED": "Stopped"}  # fmt: skip
NUMBERS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
SHOWN = {"InProgress": "RUNNING", "Stopping": "RUNNING", "Completed": "FINISHED", "Failed": "FAILED",
         "Stopped": "KILLED"}  # fmt: skip
GROUP = "Default-Run-Group-{}"
RUN_TAG = {"sagemaker:trial-component-source": "run"}
"""Source: SDK v2, `sagemaker.experiments.run`: how it knows its runs, and where it keeps them."""
USER, NAME_TAG = "MlflowUser", "mlflow.runName"
HISTORY_PAGE = 25_000
Edit = Callable[[Connection, Record], Record]


def create(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Begin a run."""
    experiment = experiments.find(call, str(request.get("experiment_id") or experiments.DEFAULT_ID))
    given = {each["key"]: each.get("value", "") for each in request.get("tags", ())}
    name = request.get("run_name") or given.get(NAME_TAG) or f"run-{ids.short(6)}"
    start = _moment(request.get("start_time")) or call.now
    key = f"{experiment.key.lower()[: experiments.MAX_KEY]}-{ids.short(16)}"
    home = lineage.Home(call.account, call.region, call.now, call.principal)
    document = {
        "TrialComponentName": key,
        "DisplayName": lineage.name_of(name),
        "Status": {"PrimaryStatus": "InProgress"},
        "StartTime": start,
        "Parameters": {},
        "InputArtifacts": {},
        "OutputArtifacts": {},
        "Metrics": [],
        "Parents": [],
        TAGS: {**given, NAME_TAG: name},
        USER: request.get("user_id") or given.get("mlflow.user", ""),
    }
    record = home.record("TrialComponent", key, home.arn(f"experiment-trial-component/{key}"), document)

    def unit(conn: Connection) -> None:
        joined = components.with_parent(record, _group(conn, home, experiment))
        records.insert(conn, joined)
        tags.put(conn, record.arn, RUN_TAG)

    call.write(unit)
    return get(call, {"run_id": key})


def _group(conn: Connection, home: lineage.Home, experiment: Record) -> Record:
    key = GROUP.format(experiment.key[: 120 - len(GROUP)])
    members = {"TrialName": key, "DisplayName": key, "ExperimentName": experiment.key}
    trial = home.record("Trial", key, home.arn(f"experiment-trial/{key}"), members)
    if not lineage.write_new(conn, trial):
        records.hold(conn, trial.account, trial.region, "Trial", key, is_shared=True)
        lineage.write_new(conn, trial)  # where it was deleted just now
    return trial


def find(call: Call, run_id: str) -> Record:
    """Return the trial component of a run."""
    record = call.seek("TrialComponent", run_id) if run_id else None
    if record is None:
        raise missing("Run", run_id)
    return record


def run_id_of(request: Mapping[str, Any]) -> str:
    """Return the run that a request names; older clients call it `run_uuid`."""
    return str(request.get("run_id") or request.get("run_uuid") or "")


def get(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run."""
    (run,) = shown(call, [find(call, run_id_of(request))])
    return {"run": run}


def shown(call: Call, found: list[Record]) -> list[dict[str, Any]]:
    """Return runs as MLflow shows them."""
    labels = call.read(tags.of_many, [record.arn for record in found])
    return [_shown(call, record, labels[record.arn]) for record in found]


def _shown(call: Call, record: Record, labels: Mapping[str, str]) -> dict[str, Any]:
    document = record.document
    own = document.get(TAGS, {})
    name = own.get(NAME_TAG, document.get("DisplayName", record.key))
    parents = document.get("Parents", ())
    experiment = parents[0]["ExperimentName"] if parents else experiments.DEFAULT_KEY
    start, end = document.get("StartTime", record.created), document.get("EndTime")
    run = {
        "run_id": record.key,
        "run_uuid": record.key,
        "run_name": name,
        "experiment_id": experiments.id_of(experiment, {}) if len(experiment) <= 64
        else experiments.id_of(experiment, call.find("Experiment", experiment).document),
        "user_id": document.get(USER) or signer(document),
        "status": SHOWN.get((document.get("Status") or {}).get("PrimaryStatus", ""), "RUNNING"),
        "start_time": epoch_ms(start),
        "artifact_uri": artifact_uri(record),
        "lifecycle_stage": document.get(STAGE, "active"),
    }  # fmt: skip
    if end is not None:
        run["end_time"] = epoch_ms(end)
    every = {**labels, **own, NAME_TAG: name}
    return {
        "info": run,
        "data": {
            "metrics": [metric_shown(each) for each in components.metrics_of(call, record)],
            "params": [
                {"key": key, "value": text_of(each)} for key, each in document.get("Parameters", {}).items()
            ],
            "tags": [{"key": key, "value": value} for key, value in sorted(every.items())],
        },
        "inputs": {},
    }


def artifact_uri(record: Record) -> str:
    """Return the address of a run's artefacts, as MLflow's clients resolve it."""
    parents = record.document.get("Parents", ())
    experiment = parents[0]["ExperimentName"] if parents else experiments.DEFAULT_KEY
    return f"mlflow-artifacts:/{experiment}/{record.key}/artifacts"


def signer(document: Mapping[str, Any]) -> str:
    """Return who made a component, by the last part of the ARN."""
    maker = (document.get("CreatedBy") or {}).get("IamIdentity") or {}
    return str(maker.get("PrincipalId", ""))


def _edit(call: Call, run_id: str, edit: Edit) -> Record:
    """Write what `edit` makes of a run, and what it writes beside it, in one transaction."""

    def unit(conn: Connection) -> Record:
        record = records.find(conn, call.account, call.region, "TrialComponent", run_id)
        if record is None:
            raise missing("Run", run_id)
        changed = edit(conn, record)
        document = {**changed.document, "LastModifiedBy": signed_by(call.principal)}
        changed = replace(changed, document=document, modified=call.now)
        return records.update(conn, changed, expected_version=record.version)

    for _ in range(AMEND_TRIES):
        try:
            written: Record = call.write(unit)
        except Stale:
            continue
        return written
    raise ConflictException(f"run {run_id} is being changed by others; try again.")


def _set(record: Record, **members: Any) -> Record:
    return replace(record, document={**record.document, **members})


def update(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Change status, end and name."""

    def edit(_conn: Connection, record: Record) -> Record:
        members: dict[str, Any] = {}
        if request.get("status"):
            wanted = NUMBERS.get(str(request["status"]), str(request["status"]))
            if wanted not in STATUSES:
                raise invalid(f"status '{wanted}' is not one of {', '.join(STATUSES)}.")
            members["Status"] = {"PrimaryStatus": STATUSES[wanted]}
        if request.get("end_time"):
            members["EndTime"] = _moment(request["end_time"])
        if request.get("run_name"):
            members["DisplayName"] = lineage.name_of(request["run_name"])
            members[TAGS] = {**record.document.get(TAGS, {}), NAME_TAG: request["run_name"]}
        return _set(record, **members)

    (run,) = shown(call, [_edit(call, run_id_of(request), edit)])
    return {"run_info": run["info"]}


def delete(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Mark a run as deleted."""
    _edit(call, run_id_of(request), lambda _conn, record: _set(record, **{STAGE: "deleted"}))
    return {}


def restore(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Take a deletion back."""
    _edit(call, run_id_of(request), lambda _conn, record: _set(record, **{STAGE: "active"}))
    return {}


def log_batch(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Log metrics, parameters and tags: all or none."""
    points = [
        Point(each["key"], int(each.get("timestamp") or epoch_ms(call.now)), int(each.get("step") or 0),
              as_float(each["value"]))
        for each in request.get("metrics", ())
    ]  # fmt: skip
    parameters = {each["key"]: str(each.get("value", "")) for each in request.get("params", ())}
    given = {each["key"]: str(each.get("value", "")) for each in request.get("tags", ())}

    def edit(conn: Connection, record: Record) -> Record:
        if record.document.get(STAGE) == "deleted":
            raise invalid(f"The run {record.key} must be in the 'active' state; it is deleted.")
        members: dict[str, Any] = {}
        if points:
            trials.append(conn, record.arn, points)
            members["Metrics"] = components.logged(record.document.get("Metrics", ()), points, record.arn)
        if parameters:
            members["Parameters"] = _with_parameters(record, parameters)
        if given:
            members[TAGS] = {**record.document.get(TAGS, {}), **given}
            if NAME_TAG in given:
                members["DisplayName"] = lineage.name_of(given[NAME_TAG])
        return _set(record, **members)

    _edit(call, run_id_of(request), edit)
    return {}


def _with_parameters(record: Record, given: Mapping[str, str]) -> dict[str, Any]:
    known = record.document.get("Parameters", {})
    for key, value in given.items():
        if key in known and text_of(known[key]) != value:
            raise invalid(
                f"Changing param values is not allowed. Param with key='{key}' was already logged with "
                f"value='{text_of(known[key])}' for run ID='{record.key}'. Attempted logging '{value}'."
            )
    return {**known, **{key: parameter_of(value) for key, value in given.items() if key not in known}}


def log_metric(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Log one value."""
    return log_batch(call, {"run_id": run_id_of(request), "metrics": [request]})


def log_parameter(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Log one parameter; it never changes."""
    return log_batch(call, {"run_id": run_id_of(request), "params": [request]})


def set_tag(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Set one tag."""
    return log_batch(call, {"run_id": run_id_of(request), "tags": [request]})


def delete_tag(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Remove one tag."""

    def edit(_conn: Connection, record: Record) -> Record:
        known = dict(record.document.get(TAGS, {}))
        if request["key"] not in known:
            raise missing("Tag", request["key"])
        del known[request["key"]]
        return _set(record, **{TAGS: known})

    _edit(call, run_id_of(request), edit)
    return {}


def log_inputs(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Note the data sets that a run read, as its input artefacts."""

    def edit(_conn: Connection, record: Record) -> Record:
        read = dict(record.document.get("InputArtifacts", {}))
        for each in request.get("datasets", ()):
            data = each["dataset"]
            read[data["name"]] = {"Value": f"{data.get('source', '')}#{data.get('digest', '')}"[:2048]}
        return _set(record, InputArtifacts=read)

    _edit(call, run_id_of(request), edit)
    return {}


def log_model(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Note a model that was logged among the artefacts."""
    history = find(call, run_id_of(request)).document.get(TAGS, {}).get("mlflow.log-model.history", "[]")
    models = history.rstrip().removesuffix("]").rstrip()
    text = f"{models}{', ' if models != '[' else ''}{request['model_json']}]"
    tag = {"key": "mlflow.log-model.history", "value": text}
    return log_batch(call, {"run_id": run_id_of(request), "tags": [tag]})


def history(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return every value of one metric, in the order they were logged."""
    record = find(call, run_id_of(request))
    points = points_of(call, record, request["metric_key"])
    first = int(request.get("page_token") or 0)
    limit = min(int(request.get("max_results") or HISTORY_PAGE), HISTORY_PAGE)
    page = points[first : first + limit]
    answer: dict[str, Any] = {"metrics": [metric_shown(_summary(each)) for each in page]}
    if first + limit < len(points):
        answer["next_page_token"] = str(first + limit)
    return answer


def _summary(point: Point) -> dict[str, Any]:
    return {
        "MetricName": point.name, "Last": point.value, "TimeStamp": from_epoch_ms(point.ms),
        components.LAST_STEP: point.step,
    }  # fmt: skip


def _moment(ms: Any) -> datetime | None:
    return from_epoch_ms(int(ms)) if ms else None
