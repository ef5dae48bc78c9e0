"""NotebookInstanceLifecycleConfig: scripts that run when an instance is created, and at each start."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource import families
from clary.resource.call import Call
from clary.resource.declare import NotFound, Resource
from clary.resource.listing import run_raw
from clary.resource.operation import operation
from clary.store.listing import Condition, Query
from clary.store.records import Record

EVENTS = ("OnCreate", "OnStart")


def admit(_call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check that the scripts are base64 of something."""
    for event in EVENTS:
        for each in request.get(event, ()):
            _check(event, each.get("Content", ""))
    return {}


def _check(event: str, content: str) -> None:
    try:
        is_script = bool(base64.b64decode(content, validate=True).strip())
    except binascii.Error:
        is_script = False
    if not is_script:
        raise ValidationException(
            f"{event}.Content must be a shell script in base64; this is not: {content[:40]!r}."
        )


LIFECYCLE_CONFIG = Resource(
    noun="NotebookInstanceLifecycleConfig",
    arn="notebook-instance-lifecycle-config/{NotebookInstanceLifecycleConfigName}",
    missing=NotFound.VALIDATION,
    missing_text="Unable to describe Notebook Instance Lifecycle Config '{arn}'. (Details: No Notebook "
    "Instance Lifecycle Config with name {key} exists.)",
    taken="ValidationException",
    taken_text="Unable to create Notebook Instance Lifecycle Config {arn}. (Details: Notebook Instance "
    "Lifecycle Config already exists.)",
    admit=admit,
)


@operation("UpdateNotebookInstanceLifecycleConfig")
def update_lifecycle_config(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change the scripts; instances run the new ones from their next start on."""
    admit(call, request)
    given = {event: request[event] for event in EVENTS if event in request}

    def change(record: Record) -> Record:
        return replace(record, document={**record.document, **given}, modified=call.now)

    noun = "NotebookInstanceLifecycleConfig"
    call.amend(call.find(noun, request["NotebookInstanceLifecycleConfigName"]), change)
    return {}


@operation("DeleteNotebookInstanceLifecycleConfig")
def delete_lifecycle_config(call: Call, request: Mapping[str, Any]) -> None:
    """Delete a configuration that no instance has.

    Raises
    ------
    ValidationException
        An instance has it.
    """
    name = request["NotebookInstanceLifecycleConfigName"]
    where = (Condition("NotebookInstanceLifecycleConfigName", "eq", name),)
    query = Query(account=call.account, region=call.region, noun="NotebookInstance", where=where, limit=1)
    users = run_raw(call, query, None)[0]
    if users:
        raise ValidationException(
            f"Unable to delete Notebook Instance Lifecycle Config '{name}': notebook instance "
            f"'{users[0].key}' has it. Take it away with UpdateNotebookInstance first."
        )
    families.delete(LIFECYCLE_CONFIG, call, request)
