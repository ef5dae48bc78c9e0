"""Simulation of policies: what the caller may do within its own account is everything."""

from collections.abc import Mapping
from typing import Any

from clary.resource.call import Call
from clary.resource.operation import operation


@operation("SimulatePrincipalPolicy")
def simulate_principal_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Decide each action on each resource: allowed within the account, an implicit deny outside."""
    resources = request.get("ResourceArns") or ["*"]
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": "allowed" if _is_own(call, resource) else "implicitDeny",
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        for action in request["ActionNames"]
        for resource in resources
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def _is_own(call: Call, arn: str) -> bool:
    """Say whether an ARN is of the caller's account; `*` and S3's ARNs carry none."""
    parts = arn.split(":")
    account = parts[4] if len(parts) > 5 else ""
    return account in {"", "*", "aws", call.account}
