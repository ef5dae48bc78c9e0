"""Experiments as MLflow has them: any name, a short id, tags, and a deletion that can be taken back.

"Fraud: models"   name, kept in the record
fraud-models-1b9c0d      key of SageMaker's Experiment, and MLflow's id
0                        MLflow's id of `Default`
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.gateway.mlflow import grammar
from clary.gateway.mlflow.errors import MlflowError, invalid, missing
from clary.kernel.clock import epoch_ms
from clary.resource.call import Call
from clary.resource.families import create
from clary.resource.listing import run_raw
from clary.services.sagemaker.experiment import EXPERIMENT
from clary.store.conditions import Clause, Condition, path
from clary.store.listing import Query
from clary.store.records import Record

DEFAULT_ID, DEFAULT_NAME, DEFAULT_KEY = "0", "Default", "default"
NAME, TAGS, STAGE, ID = "MlflowName", "MlflowTags", "LifecycleStage", "ExperimentId"
"""Members of the document that only MLflow's clients see."""
MAX_KEY = 59
"""Source: SDK v2, `Run._generate_trial_component_name`: experiment and run share 120 characters."""
PAGE = 1000
_PLAIN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")


def key_of(name: str) -> str:
    """Return the key under which an experiment of this name is made; lower case, as SDK v2 has its runs."""
    if _PLAIN.fullmatch(name) and len(name) <= MAX_KEY:
        return name.lower()
    plain = re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-").lower()[: MAX_KEY - 7].strip("-")
    return f"{plain or 'experiment'}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def id_of(key: str, document: Mapping[str, Any]) -> str:
    """Return MLflow's id of an experiment."""
    return DEFAULT_ID if key == DEFAULT_KEY else str(document.get(ID, key))


def name_of(record: Record) -> str:
    """Return MLflow's name of an experiment."""
    return DEFAULT_NAME if record.key == DEFAULT_KEY else str(record.document.get(NAME, record.key))


def find(call: Call, experiment_id: str) -> Record:
    """Return an experiment by id; the one called Default is made when first asked for."""
    if experiment_id == DEFAULT_ID:
        return call.seek("Experiment", DEFAULT_KEY) or _make(call, DEFAULT_NAME, {})
    record = call.seek("Experiment", experiment_id) if _PLAIN.fullmatch(experiment_id) else None
    if record is None:
        query = Query(call.account, call.region, "Experiment", (Condition(ID, "eq", experiment_id),), limit=1)
        record = next(iter(run_raw(call, query, None)[0]), None)
    if record is None:
        raise missing("Experiment", experiment_id)
    return record


def seek(call: Call, name: str) -> Record | None:
    """Return an experiment by name, or None."""
    if name == DEFAULT_NAME:
        return find(call, DEFAULT_ID)
    exact = call.seek("Experiment", name) if _PLAIN.fullmatch(name) else None
    if exact is not None and name_of(exact) == name:
        return exact
    record = call.seek("Experiment", key_of(name))
    return record if record is not None and name_of(record) == name else None


def shown(record: Record) -> dict[str, Any]:
    """Return an experiment as MLflow shows it."""
    document = record.document
    return {
        "experiment_id": id_of(record.key, document),
        "name": name_of(record),
        "artifact_location": f"mlflow-artifacts:/{record.key}",
        "lifecycle_stage": document.get(STAGE, "active"),
        "creation_time": epoch_ms(record.created),
        "last_update_time": epoch_ms(record.modified),
        "tags": [{"key": key, "value": value} for key, value in sorted(document.get(TAGS, {}).items())],
    }


def make(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Make an experiment."""
    name = request.get("name") or ""
    if not name.strip():
        raise invalid("name: an experiment needs one.")
    if seek(call, name) is not None:
        raise MlflowError("RESOURCE_ALREADY_EXISTS", f"Experiment '{name}' already exists.")
    tags = {each["key"]: each["value"] for each in request.get("tags", ())}
    record = _make(call, name, tags)
    return {"experiment_id": id_of(record.key, record.document)}


def _make(call: Call, name: str, tags: Mapping[str, str]) -> Record:
    key = key_of(name)
    create(EXPERIMENT, call, {"ExperimentName": key, NAME: name, TAGS: dict(tags)})
    return call.find("Experiment", key)


def get(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return one by id."""
    return {"experiment": shown(find(call, request["experiment_id"]))}


def get_by_name(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return one by name."""
    record = seek(call, request["experiment_name"])
    if record is None:
        raise missing("Experiment", request["experiment_name"])
    return {"experiment": shown(record)}


def update(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Rename one; its key stays."""
    return _amend(call, request, **({NAME: request["new_name"]} if request.get("new_name") else {}))


def delete(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Mark one as deleted."""
    return _amend(call, request, **{STAGE: "deleted"})


def restore(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Take a deletion back."""
    return _amend(call, request, **{STAGE: "active"})


def set_tag(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Set a tag."""
    tags = find(call, request["experiment_id"]).document.get(TAGS, {})
    return _amend(call, request, **{TAGS: {**tags, request["key"]: request["value"]}})


def delete_tag(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Remove a tag."""
    tags = dict(find(call, request["experiment_id"]).document.get(TAGS, {}))
    tags.pop(request["key"], None)
    return _amend(call, request, **{TAGS: tags})


def _amend(call: Call, request: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    def change(record: Record) -> Record:
        return replace(record, document={**record.document, **members}, modified=call.now)

    call.amend(find(call, request["experiment_id"]), change)
    return {}


def search(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return experiments by stage, name and tags."""
    find(call, DEFAULT_ID)
    where: list[Clause] = list(of_stage(str(request.get("view_type", "ACTIVE_ONLY"))))
    where += [_clause(each) for each in grammar.parse(request.get("filter") or "")]
    sort, is_descending = _order(request.get("order_by", ()))
    query = Query(
        call.account, call.region, "Experiment", tuple(where), sort=sort, descending=is_descending,
        limit=min(int(request.get("max_results") or PAGE), PAGE),
    )  # fmt: skip
    found, token = run_raw(call, query, request.get("page_token") or None)
    return {"experiments": [shown(each) for each in found]} | ({"next_page_token": token} if token else {})


def _clause(each: grammar.Term) -> Clause:
    if each.kind == "tags":
        return Condition(path(TAGS, each.name), each.op, each.value)
    fields = {"name": NAME, "creation_time": "created", "last_update_time": "modified"}
    if each.name not in fields:
        raise invalid(f"filter: '{each.name}' is not one of {', '.join(fields)}.")
    return Condition(fields[each.name], each.op, each.moment if each.name != "name" else each.value)


def _order(wanted: Any) -> tuple[str, bool]:
    fields = {
        "name": NAME,
        "creation_time": "created",
        "last_update_time": "modified",
        "experiment_id": "key",
    }
    for each in wanted or ():
        name, _, direction = each.strip().partition(" ")
        if name not in fields:
            raise invalid(f"order_by: '{name}' is not one of {', '.join(fields)}.")
        return fields[name], direction.strip().upper() == "DESC"
    return "created", True


def of_stage(view: str) -> tuple[Clause, ...]:
    """Return what holds of what a view shows."""
    match view.upper():
        case "ALL" | "3":
            return ()
        case "DELETED_ONLY" | "2":
            return (Condition(STAGE, "eq", "deleted"),)
        case _:
            return (Condition(STAGE, "ne", "deleted"),)
