"""Trial: one attempt at an experiment's question, made of components that it may share with other trials."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.families import insert, prepared, taken
from clary.resource.listing import page_of
from clary.resource.operation import operation
from clary.services.sagemaker._experiments import (
    CREATED,
    MISSING,
    TAKEN,
    change,
    held,
    made_by,
    refuse_while_any,
    remove,
)
from clary.services.sagemaker.experiment import EXPERIMENT
from clary.store import listing
from clary.store.base import Duplicate
from clary.store.conditions import Condition
from clary.store.listing import Query
from clary.store.records import Record

MAX_COMPONENTS_SHOWN = 100
"""Components of a trial that Search shows with it."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check that the experiment exists, and fill in what Describe always shows."""
    experiment = call.find("Experiment", request["ExperimentName"])
    return {**made_by(call, request, request["TrialName"]), "ExperimentName": experiment.key}


def components_of(call: Call, found: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the components of each of the trials that Search found."""

    def of(conn: Connection, trial: Record) -> list[dict[str, Any]]:
        where = (Condition("Parents.TrialName", "eq", trial.key),)
        query = Query(call.account, call.region, "TrialComponent", where, limit=MAX_COMPONENTS_SHOWN)
        return [
            {
                "TrialComponentName": each.key,
                "TrialComponentArn": each.arn,
                "TrialComponentSource": each.document.get("Source"),
                "CreationTime": each.created,
                "CreatedBy": each.document.get("CreatedBy"),
            }
            for each in listing.page(conn, query).records
        ]

    def all_of(conn: Connection) -> list[dict[str, Any]]:
        return [{"TrialComponentSummaries": of(conn, trial)} for trial in found]

    shown: list[dict[str, Any]] = call.read(all_of)
    return shown


TRIAL = Resource(
    noun="Trial",
    arn="experiment-trial/{TrialName}",
    missing_text=MISSING,
    taken="ValidationException",
    taken_text=TAKEN,
    admit=admit,
    filters=CREATED,
    summary_view={"TrialSource": lambda _call, record: record.document.get("Source")},
    joined=components_of,
)


@operation("CreateTrial")
def create_trial(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Create one in an experiment that is not deleted meanwhile."""
    name = request["TrialName"]
    if call.seek("Trial", name) is not None:
        raise taken(TRIAL, name, call.arn(TRIAL, name))
    made = prepared(TRIAL, call, request)

    def unit(conn: Connection) -> None:
        held(conn, call, EXPERIMENT, made.record.document["ExperimentName"], is_shared=True)
        insert(conn, made)

    try:
        call.write(unit)
    except Duplicate:
        raise taken(TRIAL, name, made.record.arn) from None
    return {"TrialArn": made.record.arn}


@operation("UpdateTrial")
def update_trial(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change the title."""
    given = {name: request[name] for name in ("DisplayName",) if name in request}
    return {"TrialArn": change(call, TRIAL, request["TrialName"], lambda document: document | given).arn}


@operation("DeleteTrial")
def delete_trial(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete one that has no components."""

    def check(conn: Connection, record: Record) -> None:
        why = (
            f"Trial '{record.key}' cannot be deleted: all of its trial components must be disassociated first"
        )
        refuse_while_any(conn, record, "TrialComponent", "Parents.TrialName", why)

    return {"TrialArn": remove(call, TRIAL, request["TrialName"], check)}


@operation("ListTrials")
def list_trials(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the trials, of an experiment or of those that share a component."""
    where = []
    if "ExperimentName" in request:
        where.append(
            Condition("ExperimentName", "eq", call.find("Experiment", request["ExperimentName"]).key)
        )
    if "TrialComponentName" in request:
        component = call.find("TrialComponent", request["TrialComponentName"])
        names = tuple(parent["TrialName"] for parent in component.document.get("Parents", ()))
        where.append(Condition("key", "in", names))
    rest = {
        name: value for name, value in request.items() if name not in {"ExperimentName", "TrialComponentName"}
    }
    page = page_of(call, TRIAL, rest, *where)
    return {"TrialSummaries": page.items} | ({"NextToken": page.next_token} if page.next_token else {})
