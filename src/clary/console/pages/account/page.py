"""Account: who is signed in, the quotas, users and roles, and what an hour costs."""

import math
import re
from collections.abc import Mapping
from typing import Any

from clary.console.visit import Answer, Context, Missing, Page, Place, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/account", title="Account", places=(Place("Account", "9 Account", "/account", 90),), live_s=5.0
)
MOST_DOLLARS = 10_000
_TYPE = re.compile(r"ml\.[a-z0-9-]{1,20}\.[a-z0-9]{1,20}")
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
        "prices": sorted(visit.costs.prices().items()),
        "own": visit.costs.own(),
    }


def act(visit: Visit) -> Answer:
    """Create a user, or say what an hour of an instance type costs."""
    match visit.form.get("do"):
        case "create":
            name = visit.form.get("name", "").strip()
            try:
                visit.api.call("CreateUser", "iam", UserName=name)
            except AwsError as error:
                return Redirect("/account", error.message)
            return Redirect(f"/account/users/{name}", "The user was created. A key lets them sign in.")
        case "price":
            return Redirect("/account", _priced(visit))
    raise Missing("There is no such action.")


def _priced(visit: Visit) -> str:
    """Keep a price; return what is said about it."""
    instance_type, text = visit.form.get("type", "").strip(), visit.form.get("price", "").strip()
    if not _TYPE.fullmatch(instance_type):
        return f"{instance_type[:40]!r} is no instance type: write one as ml.m5.large."
    try:
        dollars = float(text) if text else None
    except ValueError:
        dollars = math.nan
    if dollars is not None and not 0 <= dollars <= MOST_DOLLARS:
        return f"A price is a number of dollars from 0 to {MOST_DOLLARS:,}, or nothing: the table's own."
    visit.costs.keep(instance_type, dollars)
    return f"{instance_type}: " + (
        f"${dollars:g} an hour." if dollars is not None else "the table's own price."
    )


def _quota(visit: Visit, quota: Mapping[str, Any]) -> dict[str, Any]:
    operation, items, states = COUNTED[quota["QuotaName"]]
    found = visit.api.pages(operation, items, MaxResults=100)
    used = sum(not states or each["Status"] in states for each in found)
    limit = int(quota["Value"])
    return {"name": quota["QuotaName"], "used": used, "limit": limit, "left": max(0, limit - used)}
