"""One call: who asks, when, for what; and how a handler reaches the store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from clary.engine.world import World
from clary.kernel.arns import Arn
from clary.kernel.errors import (
    AccessDenied,
    AwsError,
    ConflictException,
    ResourceNotFound,
    ValidationException,
)
from clary.resource.declare import NotFound, Resource
from clary.store import records, tags, work
from clary.store.base import Stale
from clary.store.records import Record

AMEND_TRIES = 20
"""Writers of one record that may come in between before a change gives up."""

Handler = Callable[["Call", Mapping[str, Any]], Mapping[str, Any] | None]


@dataclass(frozen=True, kw_only=True)
class Call:
    """The caller's context; handlers ask it for time, caller and store, and import none of them."""

    account: str
    region: str
    principal: str
    """ARN of the caller."""
    service: str
    operation: str
    request_id: str
    now: datetime
    world: World
    resources: Mapping[str, Resource]
    """Declared nouns of every service, by noun."""
    access_key_id: str = ""

    def read(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a store function on a reader connection."""
        return self.world.store.read(function, *args, **kwargs)

    def write(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a store function in one durable transaction."""
        return self.world.store.write(function, *args, **kwargs)

    def arn(self, resource: Resource, key: str) -> str:
        """Return the ARN of the caller's `resource` named `key`."""
        part = resource.arn.format_map(_Name(key))
        return str(Arn(service="sagemaker", region=self.region, account=self.account, resource=part))

    def seek(self, noun: str, key: str) -> Record | None:
        """Return the record of a noun by name or ARN, or None."""
        arn = key if key.startswith("arn:") else ""
        if arn:
            key = self.own(arn).resource.partition("/")[2]
        record: Record | None = self.read(records.find, self.account, self.region, noun, key)
        return record if record is None or arn in {"", record.arn} else None

    def find(self, noun: str, key: str) -> Record:
        """Return the record of a noun by name or ARN.

        Raises
        ------
        ResourceNotFound, ValidationException
            There is none; which of them is the noun's to say.
        """
        record = self.seek(noun, key)
        if record is None:
            raise self.missing(self.resources[noun], key)
        return record

    def amend(self, record: Record, change: Callable[[Record], Record], *, is_waking: bool = False) -> Record:
        """Write what `change` makes of a record; of its newest version where another wrote in between.

        Parameters
        ----------
        is_waking : bool
            Wake the machine that drives it, in the same transaction.

        Raises
        ------
        ResourceNotFound, ValidationException
            The record is gone; which of them is the noun's to say.
        """

        def unit(conn: Connection, changed: Record) -> Record:
            written = records.update(conn, changed, expected_version=record.version)
            if is_waking:
                work.wake(conn, record.arn, self.now)
            return written

        for _ in range(AMEND_TRIES):
            try:
                written: Record = self.write(unit, change(record))
            except Stale:
                again = self.read(records.find, record.account, record.region, record.noun, record.key)
                if again is None:
                    break
                record = again
            else:
                if is_waking:
                    self.world.nudge(record.arn)
                return written
        else:
            raise ConflictException(f"{record.arn} is being changed by others; try again.")
        if record.noun in self.resources:
            raise self.missing(self.resources[record.noun], record.key)
        raise ConflictException(f"{record.arn} was deleted meanwhile.")

    def missing(self, resource: Resource, key: str) -> AwsError:
        """Return the error of a noun that does not exist."""
        arn = key if key.startswith("arn:") else self.arn(resource, key)
        text = resource.missing_text.format(title=resource.title, key=key, arn=arn, noun=resource.noun)
        if resource.missing is NotFound.VALIDATION:
            return ValidationException(text)
        return ResourceNotFound(text)

    def own(self, arn: str) -> Arn:
        """Take an ARN apart that must be the caller's own.

        Raises
        ------
        ValidationException
            It is no ARN.
        AccessDenied
            It belongs to another account.
        """
        try:
            parsed = Arn.parse(arn)
        except ValueError:
            raise ValidationException(f"{arn!r} is not an ARN") from None
        if parsed.account != self.account:
            raise AccessDenied(
                f"User: {self.principal} is not authorized to perform: {self.service}:{self.operation} "
                f"on resource: {arn}"
            )
        return parsed

    def tags_of(self, arn: str) -> list[dict[str, str]]:
        """Return the tags of an ARN as on the wire."""
        return as_tags(self.read(tags.of, arn))


class _Name(dict[str, str]):
    """Fills any placeholder of an ARN template with the one name."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def __missing__(self, _member: str) -> str:
        """Return the name for every member."""
        return self._key


def as_tags(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as a list of structures, sorted by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(pairs.items())]


def from_tags(items: Any) -> dict[str, str]:
    """Return a list of tag structures as a mapping.

    Raises
    ------
    ValidationException
        A key is given twice, or is one of AWS's own. Source: developer guide, "Tag restrictions".
    """
    pairs: dict[str, str] = {}
    for item in items or ():
        key = item["Key"]
        if key.lower().startswith("aws:"):
            raise ValidationException(f"Tags: key '{key}' must not start with 'aws:', which AWS reserves.")
        if key in pairs:
            raise ValidationException(f"Tags: key '{key}' is given twice; keys must be unique per resource.")
        pairs[key] = item.get("Value", "")
    return pairs
