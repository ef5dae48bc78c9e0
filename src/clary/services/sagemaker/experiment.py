"""Experiment: a question, under which trials stand."""

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.operation import operation
from clary.services.sagemaker._experiments import (
    CREATED,
    MISSING,
    TAKEN,
    change,
    made_by,
    refuse_while_any,
    remove,
)
from clary.store.records import Record

MAX_ID = 64
"""Longer names have an id of their own for MLflow's clients, which refuse longer ones."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill in what Describe always shows."""
    name = request["ExperimentName"]
    members = made_by(call, request, name)
    if len(name) > MAX_ID:
        members["ExperimentId"] = hashlib.sha256(name.encode()).hexdigest()[:32]
    return members


EXPERIMENT = Resource(
    noun="Experiment",
    arn="experiment/{ExperimentName}",
    missing_text=MISSING,
    taken="ValidationException",  # the SDKs look for this code and "already exists"
    taken_text=TAKEN,
    admit=admit,
    filters=CREATED,
    summary_view={"ExperimentSource": lambda _call, record: record.document.get("Source")},
)


@operation("UpdateExperiment")
def update_experiment(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change the title and the description."""
    given = {name: request[name] for name in ("DisplayName", "Description") if name in request}
    record = change(call, EXPERIMENT, request["ExperimentName"], lambda document: document | given)
    return {"ExperimentArn": record.arn}


@operation("DeleteExperiment")
def delete_experiment(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete one that has no trials."""

    def check(conn: Connection, record: Record) -> None:
        why = f"Experiment '{record.key}' cannot be deleted: all of its trials must be deleted first"
        refuse_while_any(conn, record, "Trial", "ExperimentName", why)

    return {"ExperimentArn": remove(call, EXPERIMENT, request["ExperimentName"], check)}
