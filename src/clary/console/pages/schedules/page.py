"""Schedules: what is called at times, when, and what became of the last calls."""

from collections.abc import Mapping
from typing import Any

from clary.console.visit import Answer, Context, Missing, Page, Place, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/schedules",
    title="Schedules",
    places=(Place("Schedules", "1 Build", "/schedules", 28),),
    live_s=5.0,
)
SERVICE = "scheduler"
LOG_GROUP = "/aws/scheduler"
SHOWN = 3
"""Lines of the log beside each."""
_ANSWERED = {"Arn", "CreationDate", "LastModificationDate"}
"""Members of GetSchedule that UpdateSchedule does not take."""


def view(visit: Visit) -> Context:
    """List one page of schedules, each with the last lines of its log."""
    prefix = visit.query.get("name", "")
    answer = visit.api.call(
        "ListSchedules", SERVICE, NamePrefix=prefix, MaxResults=25, NextToken=visit.query.get("token")
    )
    return {
        "schedules": [_shown(visit, each["Name"]) for each in answer["Schedules"]],
        "next_token": answer.get("NextToken"),
        "asked": {"name": prefix},
    }


def act(visit: Visit) -> Answer:
    """Pause, resume or delete one."""
    name, wish = visit.form.get("name", ""), visit.form.get("do")
    try:
        if wish == "delete":
            visit.api.call("DeleteSchedule", SERVICE, Name=name)
            return Redirect("/schedules", f"{name} was deleted; jobs that it began go on.")
        if wish not in {"ENABLED", "DISABLED"}:
            raise Missing("There is no such action.")
        known = visit.api.call("GetSchedule", SERVICE, Name=name)
        kept = {member: value for member, value in known.items() if member not in _ANSWERED}
        visit.api.call("UpdateSchedule", SERVICE, **(kept | {"State": wish}))
    except AwsError as error:
        return Redirect("/schedules", error.message)
    return Redirect("/schedules", f"{name} {'goes on' if wish == 'ENABLED' else 'is paused'}.")


def _shown(visit: Visit, name: str) -> Mapping[str, Any]:
    found = visit.api.seek("GetSchedule", SERVICE, Name=name) or {"Name": name}
    target = found.get("Target", {}).get("Arn", "").rpartition(":")[2]
    asked = {"logGroupName": LOG_GROUP, "logStreamName": name, "startFromHead": False, "limit": SHOWN}
    told = visit.api.seek("GetLogEvents", "logs", **asked) or {}
    return {**found, "calls": target, "lines": [each["message"] for each in told.get("events", ())]}
