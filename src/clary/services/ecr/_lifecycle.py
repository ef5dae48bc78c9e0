"""Lifecycle policies: read, judged, kept where the sweep finds them.

Rules are judged by priority. An image that the tags of one rule are about is for no rule after it to expire,
though those count it. Source: Amazon ECR user guide, "Lifecycle policy properties" and "… evaluation".
"""

import fnmatch
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import AwsError
from clary.services.ecr._records import EVERYWHERE, POLICY, Place
from clary.store import records
from clary.store.records import Record

OWNER = "clary"
"""Account of the policies' records: the sweep finds those of every account in one list."""
PREVIEW = "EcrLifecyclePreview"
_STATUSES = ("tagged", "untagged", "any")
_COUNTS = ("imageCountMoreThan", "sinceImagePushed")
_FILTERS = ("tagPrefixList", "tagPatternList")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy."""

    priority: int
    status: str
    filters: tuple[tuple[str, ...], ...]
    """Prefixes, and patterns: an image's tags must match every one."""
    count_type: str
    count: int

    def is_about(self, tags: Sequence[str]) -> bool:
        """Tell whether the rule selects images with these tags."""
        if self.status == "any":
            return True
        prefixes, patterns = self.filters
        wanted: list[Callable[[str], bool]] = [lambda tag, one=one: tag.startswith(one) for one in prefixes]  # type: ignore[misc]
        wanted += [lambda tag, one=one: fnmatch.fnmatchcase(tag, one) for one in patterns]  # type: ignore[misc]
        if self.status == "untagged":
            return not tags
        return bool(tags) and all(any(fits(tag) for tag in tags) for fits in wanted)


def _refused(reason: str) -> AwsError:
    text = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "
    text += f"'Lifecycle policy validation failure: {reason}'"
    return AwsError(text, code="InvalidParameterException")


def parse(text: str) -> list[Rule]:
    """Return the rules of a policy, by priority.

    Raises
    ------
    AwsError
        `InvalidParameterException`.
    """
    try:
        document = json.loads(text)
        rules = sorted((_rule(each) for each in document["rules"]), key=lambda rule: rule.priority)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(f"{type(error).__name__}: {error}") from None
    if not rules:
        raise _refused("there must be at least one rule")
    if len({each.priority for each in rules}) < len(rules):
        raise _refused("rules must have unique rulePriority")
    for status in ("any", "untagged"):
        if sum(each.status == status for each in rules) > 1:
            raise _refused(f"only one rule can have the tagStatus '{status}'")
    if any(each.status == "any" for each in rules[:-1]):
        raise _refused(
            "the rule with tagStatus 'any' must have the highest rulePriority, and be evaluated last"
        )
    return rules


def _rule(document: Mapping[str, Any]) -> Rule:
    selection, priority = document["selection"], document["rulePriority"]
    status, kind, count = selection["tagStatus"], selection["countType"], selection["countNumber"]
    if document["action"] != {"type": "expire"}:
        raise _refused("the action must be {'type': 'expire'}; no other is served")
    for member, value in (("rulePriority", priority), ("countNumber", count)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _refused(f"{member} must be a whole number above zero, not {value!r}")
    for member, value, allowed in (("tagStatus", status, _STATUSES), ("countType", kind, _COUNTS)):
        if value not in allowed:
            raise _refused(f"{member} {value!r} must be one of {', '.join(allowed)}")
    if (selection.get("countUnit") == "days") != (kind == "sinceImagePushed"):
        raise _refused("countUnit 'days' goes with countType 'sinceImagePushed', and only with it")
    given = [selection.get(member) or [] for member in _FILTERS]
    if any(given) != (status == "tagged") or all(given):
        raise _refused("tagStatus 'tagged', and no other, takes a tagPrefixList or a tagPatternList")
    filters = tuple(tuple(map(str, each)) for each in given)
    return Rule(priority, status, filters, kind, count)


def expired(rules: Sequence[Rule], images: Sequence[Record], now: datetime) -> dict[str, int]:
    """Return the digests of the images that a policy expires, each with the priority of its rule."""
    newest_first = sorted(images, key=lambda each: (each.created, each.key), reverse=True)
    found: dict[str, int] = {}
    settled: set[str] = set()
    for rule in rules:
        chosen = [each for each in newest_first if rule.is_about(each.document["imageTags"])]
        if rule.count_type == "imageCountMoreThan":
            beyond = chosen[rule.count :]
        else:
            beyond = [each for each in chosen if (now - each.created).total_seconds() > rule.count * 86_400]
        found |= {each.key: rule.priority for each in beyond if each.key not in settled}
        settled |= {each.key for each in chosen}
    return found


# Where they are.


def _key(place: Place) -> str:
    return f"{place.account}/{place.link}"


def find(conn: Connection, place: Place) -> Record | None:
    """Return the policy of a repository."""
    return records.find(conn, OWNER, EVERYWHERE, POLICY, _key(place))


def keep(conn: Connection, place: Place, text: str, now: datetime) -> None:
    """Give a repository a policy, in place of the one it has."""
    forget(conn, place)
    document = {"account": place.account, "region": place.region, "name": place.name, "text": text}
    records.insert(conn, Record(OWNER, EVERYWHERE, POLICY, _key(place), "", "", now, now, document))


def forget(conn: Connection, place: Place) -> None:
    """Take a repository's policy away."""
    records.delete(conn, OWNER, EVERYWHERE, POLICY, _key(place))


# What a policy would do.


def previewed(conn: Connection, place: Place) -> Record | None:
    """Return the record of the policy that a repository's preview is about."""
    return records.find(conn, place.account, place.region, PREVIEW, place.name)


def preview(conn: Connection, place: Place, text: str, now: datetime) -> None:
    """Have a repository's preview be about a policy."""
    forget_preview(conn, place)
    records.insert(
        conn, Record(place.account, place.region, PREVIEW, place.name, "", "", now, now, {"text": text})
    )


def forget_preview(conn: Connection, place: Place) -> None:
    """Take a repository's preview away."""
    records.delete(conn, place.account, place.region, PREVIEW, place.name)
