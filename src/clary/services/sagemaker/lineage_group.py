"""LineageGroup: the one group that an account's lineage entities are in; nothing of it is shared."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import ResourceNotFound
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.sagemaker import _lineage as lineage
from clary.store import identities


def _group(call: Call) -> dict[str, Any]:
    account = call.read(identities.find_account, call.account)
    made = account.created if account else call.now
    return {
        "LineageGroupName": lineage.DEFAULT_GROUP,
        "LineageGroupArn": lineage.Home(call.account, call.region, made).arn(
            f"lineage-group/{lineage.DEFAULT_GROUP}"
        ),
        "DisplayName": lineage.DEFAULT_GROUP,
        "CreationTime": made,
        "LastModifiedTime": made,
    }


@operation("ListLineageGroups")
def list_lineage_groups(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the account's one group, where it is of the time that is asked for."""
    group = _group(call)
    is_after = "CreatedAfter" not in request or group["CreationTime"] > request["CreatedAfter"]
    is_before = "CreatedBefore" not in request or group["CreationTime"] < request["CreatedBefore"]
    return {"LineageGroupSummaries": [group] if is_after and is_before else []}


@operation("DescribeLineageGroup")
def describe_lineage_group(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the account's one group."""
    return _expect(call, request)


@operation("GetLineageGroupPolicy")
def get_lineage_group_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say that the group is shared with nobody."""
    group = _expect(call, request)
    raise ResourceNotFound(f"Lineage group '{group['LineageGroupArn']}' has no policy: it is not shared.")


def _expect(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    group = _group(call)
    if request["LineageGroupName"] not in {group["LineageGroupName"], group["LineageGroupArn"]}:
        raise ResourceNotFound(f"Lineage group '{request['LineageGroupName']}' does not exist.")
    return group
