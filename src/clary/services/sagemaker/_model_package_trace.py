"""Lineage of model packages: what a version consists of, its approval, the models made of it.

model data, image ──▶ package ──▶ approval ──▶ model group        package, approval ──▶ model ──▶ deployment
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.services.sagemaker import _lineage as lineage
from clary.services.sagemaker._lineage import Entity, Home
from clary.store import records
from clary.store.records import Record

APPROVAL, GROUP, PACKAGE = "Approval", "ModelGroup", "ModelPackage"
"""Kinds of the action, the context and the artefact. Source: SageMaker SDK 2.257, `LineageSourceEnum`."""
STATUS_OF = {"PendingManualApproval": "InProgress", "Approved": "Completed", "Rejected": "Stopped"}
"""An approval's `ActionStatus` by `ModelApprovalStatus`."""


def of_package(conn: Connection, before: Record | None, after: Record) -> None:
    """Write what a new package consists of, and how its approval stands."""
    home = Home(after.account, after.region, after.modified)
    if before is None:
        _begin(conn, home, after)
    elif before.document.get("ModelApprovalStatus") != after.document.get("ModelApprovalStatus"):
        _decide(conn, home, after)


def _begin(conn: Connection, home: Home, package: Record) -> None:
    made = _artifact(conn, home, package)
    for uri, kind in _parts(package.document):
        lineage.associate(conn, home, lineage.artifact(conn, home, uri, kind), "ContributedTo", made)
    name = package.document.get("ModelPackageGroupName")
    if name is None:
        return
    group = home.arn(f"model-package-group/{name}")
    context = lineage.context(conn, home, f"{name}-aws-model-group", GROUP, _source(group))
    approval = lineage.action(conn, home, _approval_name(package), APPROVAL, _source(package.arn))
    lineage.associate(conn, home, made, "ContributedTo", approval)
    lineage.associate(conn, home, approval, "AssociatedWith", context)
    _decide(conn, home, package)


def _decide(conn: Connection, home: Home, package: Record) -> None:
    """Have the approval say what was decided."""
    action = records.find(conn, home.account, home.region, "Action", _approval_name(package))
    if action is None:
        return  # deleted by its owner, who wants no trace of it
    decision = package.document["ModelApprovalStatus"]
    told = {"Status": STATUS_OF[decision], "Properties": {"ModelApprovalStatus": decision}}
    if package.document.get("ApprovalDescription"):
        told["Description"] = package.document["ApprovalDescription"]
    records.update(conn, replace(action, document={**action.document, **told}, modified=home.now))


def of_model(conn: Connection, home: Home, arn: str) -> Iterator[Entity]:
    """Yield what of a package leads to a model that is made of it: the package, and its approval."""
    package = records.find_by_arn(conn, arn)
    if package is None:
        return
    yield _artifact(conn, home, package)
    action = records.find(conn, home.account, home.region, "Action", _approval_name(package))
    if action is not None:
        yield Entity(action.arn, APPROVAL, action.key)


def _artifact(conn: Connection, home: Home, package: Record) -> Entity:
    return lineage.artifact(conn, home, package.arn, PACKAGE, name=lineage.name_of(package.key))


def _approval_name(package: Record) -> str:
    return f"{package.key.replace('/', '-')}-aws-model-approval"


def _source(arn: str) -> dict[str, str]:
    return {"SourceUri": arn, "SourceType": "ARN"}


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the address and kind of everything that a package's containers bring."""
    for each in document.get("InferenceSpecification", {}).get("Containers", ()):
        source = each.get("ModelDataSource", {}).get("S3DataSource", {})
        for uri, kind in (
            (each.get("ModelDataUrl") or source.get("S3Uri"), "Model"),
            (each["Image"], "Image"),
        ):
            if uri:
                yield uri, kind
