"""Scheduled actions that are due: they move a target's bounds."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary.engine.world import World
from clary.services.application_autoscaling import _shared as shared
from clary.serving.scaling import schedule
from clary.store.records import Record

if TYPE_CHECKING:
    from clary.services.application_autoscaling._target_machine import Look

LATE = timedelta(hours=1)
"""An action that was due while nobody looked is caught up with so long after."""


def due(world: World, here: "Look") -> tuple[dict[str, Any], float]:
    """Return what the actions that are due set, and the seconds to the next one."""
    actions = world.store.read(shared.of_target, here.target, "ScheduledAction")
    fired: dict[str, float] = dict(here.memory.get("fired", {}))
    now = datetime.fromtimestamp(here.now_s, UTC)
    document: dict[str, Any] = {}
    next_s = float("inf")
    is_suspended = here.target.document.get("SuspendedState", {}).get("ScheduledScalingSuspended")
    here.memory.pop("scheduled", None)
    for action in actions:
        seen = max(datetime.fromtimestamp(fired.get(action.arn, 0.0), UTC), action.modified, now - LATE)
        moment = next_of(action, seen)
        if moment is not None and moment <= now:
            fired[action.arn] = here.now_s
            if not is_suspended:
                document |= action.document.get("ScalableTargetAction", {})
                here.memory["scheduled"] = f"scheduled action name {action.document['ScheduledActionName']}"
            moment = next_of(action, now)
        if moment is not None:
            next_s = min(next_s, (moment - now).total_seconds())
    here.memory["fired"] = fired
    return document, next_s


def next_of(action: Record, after: datetime) -> datetime | None:
    """Return when an action is due next, within its own bounds in time."""
    terms = action.document
    begin, end = terms.get("StartTime"), terms.get("EndTime")
    found = schedule.parse(terms["Schedule"], terms.get("Timezone", "UTC"), since=begin or action.created)
    if begin is not None and begin > after:
        after = begin - timedelta(seconds=1)
    moment = found.next_after(after)
    return None if moment is None or (end is not None and moment > end) else moment
