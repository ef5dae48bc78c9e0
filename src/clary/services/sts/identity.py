"""Who the caller is, and temporary credentials."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from clary.kernel import ids
from clary.kernel.arns import Arn
from clary.kernel.errors import AccessDenied, ValidationException
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.iam.role import find_role
from clary.store import identities
from clary.store.identities import Credential

SESSION_S = 43_200
"""Source: API reference, GetSessionToken, default of 12 hours."""
ROLE_S = 3_600
"""Source: API reference, AssumeRole, default of one hour."""


@operation("GetCallerIdentity")
def get_caller_identity(call: Call, _request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the caller's account and ARN; an assumed role's, as `get_execution_role()` needs it."""
    name = call.principal.rpartition("/")[2]
    return {"UserId": f"AROA{call.account}CLARY:{name}", "Account": call.account, "Arn": call.principal}


@operation("AssumeRole")
def assume_role(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return temporary credentials of a role of the caller's account."""
    try:
        arn = Arn.parse(request["RoleArn"])
    except ValueError:
        raise ValidationException(f"{request['RoleArn']} is invalid", code="ValidationError") from None
    role_name = arn.resource.rpartition("/")[2]
    role = find_role(call, role_name) if arn.account == call.account else None
    if role is None or role.arn != str(arn):
        raise AccessDenied(
            f"User: {call.principal} is not authorized to perform: sts:AssumeRole on resource: {arn}",
            code="AccessDenied",
        )
    seconds = int(request.get("DurationSeconds", ROLE_S))
    longest = role.document["MaxSessionDuration"]
    if seconds > longest:
        raise ValidationException(
            f"The requested DurationSeconds {seconds} exceeds the MaxSessionDuration set for this role: "
            f"{longest}.",
            code="ValidationError",
        )
    session = request["RoleSessionName"]
    principal = f"arn:aws:sts::{call.account}:assumed-role/{role_name}/{session}"
    return {
        "Credentials": _issue(call, principal, seconds),
        "AssumedRoleUser": {"AssumedRoleId": f"AROA{call.account}CLARY:{session}", "Arn": principal},
    }


@operation("GetSessionToken")
def get_session_token(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return temporary credentials of the caller."""
    return {"Credentials": _issue(call, call.principal, int(request.get("DurationSeconds", SESSION_S)))}


def _issue(call: Call, principal: str, seconds: int) -> dict[str, Any]:
    credential = Credential(
        access_key_id=ids.access_key_id(temporary=True),
        secret=ids.secret_access_key(),
        account=call.account,
        principal=principal,
        session_token=ids.token(96),
        expires=call.now + timedelta(seconds=seconds),
    )
    call.write(identities.insert, credential)
    return {
        "AccessKeyId": credential.access_key_id,
        "SecretAccessKey": credential.secret,
        "SessionToken": credential.session_token,
        "Expiration": credential.expires,
    }


@operation("GetAccessKeyInfo")
def get_access_key_info(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the account of an access key."""
    credential = call.read(identities.find, request["AccessKeyId"])
    if credential is None:
        raise ValidationException(
            f"The access key {request['AccessKeyId']} is unknown", code="ValidationError"
        )
    return {"Account": credential.account}
