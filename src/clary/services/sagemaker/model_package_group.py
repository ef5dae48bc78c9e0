"""ModelPackageGroup: the versions of one model in the registry, and who else may read them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import ConflictException, ValidationException
from clary.resource.call import Call
from clary.resource.declare import NotFound, Resource
from clary.resource.listing import page_of
from clary.resource.operation import operation
from clary.services.sagemaker._experiments import remove, signed_by
from clary.store import listing
from clary.store.conditions import Condition
from clary.store.listing import Query
from clary.store.records import Record


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateModelPackageGroup beyond the model; a group is complete at once."""
    if "ManagedConfiguration" in request:
        raise ValidationException(
            "ManagedConfiguration is not served: model data stay where ModelDataUrl says; leave it out."
        )
    return {"CreatedBy": signed_by(call.principal), "ModelPackageGroupStatus": "Completed"}


MODEL_PACKAGE_GROUP = Resource(
    noun="ModelPackageGroup",
    arn="model-package-group/{ModelPackageGroupName}",
    status="ModelPackageGroupStatus",
    missing=NotFound.VALIDATION,  # the model declares no ResourceNotFound for it
    missing_text="ModelPackageGroup {arn} does not exist.",
    taken="ValidationException",
    taken_text="Model Package Group already exists: {arn}",  # the SDKs look for "already exists"
    admit=admit,
)


@operation("ListModelPackageGroups")
def list_model_package_groups(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the account's own groups."""
    if request.get("CrossAccountFilterOption") == "CrossAccount":
        raise ValidationException(
            "CrossAccountFilterOption 'CrossAccount': accounts share nothing here; use 'SameAccount'."
        )
    rest = {name: value for name, value in request.items() if name != "CrossAccountFilterOption"}
    page = page_of(call, MODEL_PACKAGE_GROUP, rest)
    return {"ModelPackageGroupSummaryList": page.items} | (
        {"NextToken": page.next_token} if page.next_token else {}
    )


@operation("DeleteModelPackageGroup")
def delete_model_package_group(call: Call, request: Mapping[str, Any]) -> None:
    """Delete one that has no versions."""
    remove(call, MODEL_PACKAGE_GROUP, request["ModelPackageGroupName"], _refuse_while_versioned)


def _refuse_while_versioned(conn: Connection, group: Record) -> None:
    query = Query(group.account, group.region, "ModelPackage", (versions_of(group),), sort="key", limit=1)
    found = listing.page(conn, query).records
    if found:
        raise ConflictException(
            f"ModelPackageGroup {group.arn} cannot be deleted: its versions must be deleted first "
            f"(one is {found[0].arn})."
        )


def versions_of(group: Record) -> Condition:
    """Return the condition that the versions of a group satisfy; an index answers it."""
    return Condition("key", "prefix", f"{group.key}/")


@operation("PutModelPackageGroupPolicy")
def put_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep a resource policy; nothing is granted by it, as accounts share nothing here."""
    group = call.find("ModelPackageGroup", request["ModelPackageGroupName"])
    try:
        policy = json.loads(request["ResourcePolicy"])
    except ValueError as error:
        raise ValidationException(f"ResourcePolicy is not JSON: {error}.") from None
    if not isinstance(policy, dict) or not policy.get("Statement"):
        raise ValidationException("ResourcePolicy must be a JSON object that has at least one Statement.")
    _keep(call, group, request["ResourcePolicy"])
    return {"ModelPackageGroupArn": group.arn}


@operation("GetModelPackageGroupPolicy")
def get_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the policy as it was given."""
    group = call.find("ModelPackageGroup", request["ModelPackageGroupName"])
    if "policy" not in group.private:
        raise ValidationException(f"Cannot find resource policy for: {group.arn}")
    return {"ResourcePolicy": group.private["policy"]}


@operation("DeleteModelPackageGroupPolicy")
def delete_policy(call: Call, request: Mapping[str, Any]) -> None:
    """Forget the policy; repeating it changes nothing."""
    _keep(call, call.find("ModelPackageGroup", request["ModelPackageGroupName"]), None)


def _keep(call: Call, group: Record, policy: str | None) -> None:
    def change(current: Record) -> Record:
        private = {name: value for name, value in current.private.items() if name != "policy"}
        return replace(current, private=private | ({} if policy is None else {"policy": policy}))

    call.amend(group, change)
