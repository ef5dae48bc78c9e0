"""One user of the account, and its keys: made, put out of use, deleted."""

from collections.abc import Mapping
from typing import Any

from clary.console.visit import Answer, Context, Missing, Page, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(path=r"/account/users/([^/]+)", title="User", live_s=5.0)
DONE = {
    "Active": "The key is in use again.",
    "Inactive": "The key is out of use: what it signs is refused from now on.",
}


def view(visit: Visit, made: Mapping[str, Any] | None = None) -> Context:
    """Describe one user; a key that was just made is shown with its secret, this once."""
    name = visit.arguments[0]
    try:
        user = visit.api.call("GetUser", "iam", UserName=name)["User"]
        keys = visit.api.call("ListAccessKeys", "iam", UserName=name)["AccessKeyMetadata"]
    except AwsError as error:
        raise Missing(f"User {name}: {error.message}") from None
    return {"user": user, "name": name, "title": name, "here": "/account", "keys": keys, "made": made}


def act(visit: Visit) -> Answer:
    """Make a key, put one out of use or into it, delete one, or the user."""
    name, key_id, verb = visit.arguments[0], visit.form.get("key"), visit.form.get("do", "")
    try:
        if verb == "key":
            made = visit.api.call("CreateAccessKey", "iam", UserName=name)["AccessKey"]
            return view(visit, made)
        if verb in DONE:
            visit.api.call("UpdateAccessKey", "iam", UserName=name, AccessKeyId=key_id, Status=verb)
            return Redirect(visit.path, DONE[verb])
        if verb == "delete_key":
            visit.api.call("DeleteAccessKey", "iam", UserName=name, AccessKeyId=key_id)
            return Redirect(visit.path, "The key was deleted.")
        if verb == "delete":
            visit.api.call("DeleteUser", "iam", UserName=name)
            return Redirect("/account", f"{name} was deleted.")
    except AwsError as error:
        return Redirect(visit.path, error.message)
    raise Missing("There is no such action.")
