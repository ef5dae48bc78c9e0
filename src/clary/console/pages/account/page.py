"""Account: who is signed in, the quotas, users and roles, and what an hour costs."""

from collections.abc import Mapping
from typing import Any

from clary.console import cost
from clary.console.visit import Answer, Context, Missing, Page, Place, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/account", title="Account", places=(Place("Account", "9 Account", "/account", 90),), live_s=5.0
)
COUNTED = {
    "Total number of notebook instances": ("ListNotebookInstances", "NotebookInstances", {}),
    "Total number of running Studio apps": ("ListApps", "Apps", {"Pending", "InService"}),
}
"""What uses a quota, by its name: the list, its items, and the states that count."""


def view(visit: Visit) -> Context:
    """Show the account."""
    roles = (visit.api.seek("ListRoles", "iam") or {}).get("Roles", ())
    users = (visit.api.seek("ListUsers", "iam") or {}).get("Users", ())
    quotas = (visit.api.seek("ListServiceQuotas", "service-quotas", ServiceCode="sagemaker") or {}).get(
        "Quotas", ()
    )
    return {
        "key": visit.api.key,
        "roles": roles,
        "users": users,
        "quotas": [_quota(visit, each) for each in quotas],
        "prices": sorted(cost.prices(visit.data_dir).items()),
        "prices_path": visit.data_dir / "prices.json",
    }


def act(visit: Visit) -> Answer:
    """Create a user."""
    if visit.form.get("do") != "create":
        raise Missing("There is no such action.")
    name = visit.form.get("name", "").strip()
    try:
        visit.api.call("CreateUser", "iam", UserName=name)
    except AwsError as error:
        return Redirect("/account", error.message)
    return Redirect(f"/account/users/{name}", "The user was created. A key lets them sign in.")


def _quota(visit: Visit, quota: Mapping[str, Any]) -> dict[str, Any]:
    operation, items, states = COUNTED[quota["QuotaName"]]
    found = visit.api.pages(operation, items, MaxResults=100)
    used = sum(not states or each["Status"] in states for each in found)
    limit = int(quota["Value"])
    return {"name": quota["QuotaName"], "used": used, "limit": limit, "left": max(0, limit - used)}
