"""Logged models: what MLflow 3 keeps of a model beside the run that made it; its files are the run's."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.gateway.mlflow import experiments, grammar, runs
from clary.gateway.mlflow.errors import invalid, missing
from clary.kernel import ids
from clary.kernel.clock import epoch_ms
from clary.resource.call import Call
from clary.resource.listing import run_raw
from clary.services.sagemaker import _lineage as lineage
from clary.store import records
from clary.store.conditions import Clause, Condition, path
from clary.store.listing import Query
from clary.store.records import Record

NOUN = "LoggedModel"
STATUSES = {"1": "LOGGED_MODEL_PENDING", "2": "LOGGED_MODEL_READY", "3": "LOGGED_MODEL_UPLOAD_FAILED"}
PAGE = 100
_FIELDS = {"name": "name", "model_id": "key", "source_run_id": "source_run_id", "status": "status",
           "model_type": "model_type", "creation_timestamp": "created"}  # fmt: skip


def make(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Note a model that a run is about to log."""
    if not request.get("source_run_id"):
        raise invalid("source_run_id: a model is logged within a run here; start one.")
    run = runs.find(call, request["source_run_id"])
    experiment = experiments.find(call, str(request["experiment_id"]))
    name = request.get("name") or "model"
    document = {
        "experiment": experiment.key,
        "experiment_id": experiments.id_of(experiment.key, experiment.document),
        "name": name,
        "artifact_uri": f"{runs.artifact_uri(run)}/{name}",
        "status": STATUSES["1"],
        "model_type": request.get("model_type", ""),
        "source_run_id": run.key,
        "params": _pairs(request.get("params", ())),
        "tags": _pairs(request.get("tags", ())),
    }
    home = lineage.Home(call.account, call.region, call.now, call.principal)
    record = home.record(NOUN, f"m-{ids.short(32)}", "", document)
    call.write(records.insert, record)
    return {"model": shown(record)}


def shown(record: Record) -> dict[str, Any]:
    """Return a model as MLflow shows it."""
    document = record.document
    members = ("experiment_id", "name", "artifact_uri", "status", "model_type", "source_run_id")
    return {
        "info": {
            "model_id": record.key,
            "creation_timestamp_ms": epoch_ms(record.created),
            "last_updated_timestamp_ms": epoch_ms(record.modified),
            "tags": _listed(document["tags"]),
            **{name: document[name] for name in members},
        },
        "data": {"params": _listed(document["params"]), "metrics": []},
    }


def _find(call: Call, model_id: str) -> Record:
    record: Record | None = call.read(records.find, call.account, call.region, NOUN, model_id)
    if record is None:
        raise missing("Logged model", model_id)
    return record


def get(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return one."""
    return {"model": shown(_find(call, request["model_id"]))}


def finish(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Say that its files are there, or that they will not be."""
    status = STATUSES.get(str(request["status"]), str(request["status"]))
    return {"model": shown(_amend(call, request, status=status))}


def add_parameters(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Add parameters."""
    known = _find(call, request["model_id"]).document["params"]
    _amend(call, request, params={**known, **_pairs(request.get("params", ()))})
    return {}


def set_tags(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Set tags."""
    known = _find(call, request["model_id"]).document["tags"]
    return {"model": shown(_amend(call, request, tags={**known, **_pairs(request.get("tags", ()))}))}


def delete_tag(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Remove a tag."""
    known = _find(call, request["model_id"]).document["tags"]
    _amend(call, request, tags={key: value for key, value in known.items() if key != request["tag_key"]})
    return {}


def delete(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Forget one; its files stay with the run."""
    record = _find(call, request["model_id"])
    call.write(records.delete, record.account, record.region, NOUN, record.key)
    return {}


def _amend(call: Call, request: Mapping[str, Any], **members: Any) -> Record:
    def change(record: Record) -> Record:
        return replace(record, document={**record.document, **members}, modified=call.now)

    return call.amend(_find(call, request["model_id"]), change)


def search(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the models of some experiments, the newest first."""
    named = tuple(experiments.find(call, str(each)).key for each in request.get("experiment_ids", ()))
    where: list[Clause] = [Condition("experiment", "in", named)]
    where += [_clause(each) for each in grammar.parse(request.get("filter") or "")]
    for item in request.get("order_by", ()):
        if item.get("field_name") not in {"creation_timestamp", "creation_time"}:
            raise invalid(f"order_by: '{item.get('field_name')}' is not creation_timestamp.")
    limit = min(int(request.get("max_results") or PAGE), PAGE)
    found, token = run_raw(
        call,
        Query(call.account, call.region, NOUN, tuple(where), limit=limit),
        request.get("page_token") or None,
    )
    return {"models": [shown(each) for each in found]} | ({"next_page_token": token} if token else {})


def _clause(term: grammar.Term) -> Clause:
    if term.kind in {"tags", "params"}:
        return Condition(path(term.kind, term.name), term.op, term.value)
    if term.kind != "attributes" or term.name not in _FIELDS:
        raise invalid(f"filter: '{term.name}' is not one of {', '.join(_FIELDS)}, tags.… or params.…")
    field = _FIELDS[term.name]
    return Condition(path(field) if field == "status" else field, term.op, term.value)


def outputs(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Check the models that a run says it made: they know their run already."""
    for each in request.get("models", ()):
        _find(call, each["model_id"])
    return {}


def _pairs(items: Any) -> dict[str, str]:
    return {each["key"]: str(each.get("value", "")) for each in items}


def _listed(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(pairs.items())]
