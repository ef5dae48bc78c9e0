"""IAM users, as far as the SDKs ask: the account's own."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.operation import operation


@operation("GetUser")
def get_user(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the caller as a user."""
    own = call.principal.rpartition("/")[2]
    name = request.get("UserName", own)
    if name != own:
        raise AwsError(f"The user with name {name} cannot be found.", code="NoSuchEntity", status=404)
    return {
        "User": {
            "Path": "/",
            "UserName": name,
            "UserId": f"AIDA{call.account}CLARY",
            "Arn": f"arn:aws:iam::{call.account}:user/{name}",
            "CreateDate": call.now,
        }
    }


@operation("ListAccountAliases")
def list_account_aliases(_call: Call, _request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return no aliases: accounts go by their ids."""
    return {"AccountAliases": [], "IsTruncated": False}
