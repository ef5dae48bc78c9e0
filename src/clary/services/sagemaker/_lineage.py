"""Lineage from the inside: entities by what they stand for, associations between them, walks along these.

artifact ──ContributedTo──▶ trial component ──Produced──▶ artifact ──ContributedTo──▶ action ──▶ context
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from clary.kernel.arns import Arn
from clary.services.sagemaker._experiments import signed_by
from clary.store import facets, records
from clary.store.base import Duplicate
from clary.store.conditions import code_of
from clary.store.records import Record
from clary.store.schema import scope_of

LINEAGE_TYPES = {
    "artifact": "Artifact",
    "action": "Action",
    "context": "Context",
    "experiment-trial-component": "TrialComponent",
}
"""`LineageType` by the kind in an ARN."""
DEFAULT_GROUP = "sagemaker-default-lineage-group"
MAX_VERTICES = 20_000
"""Vertices after which a walk ends."""
SERVICE = "sagemaker.amazonaws.com"
"""Who made what is recorded by itself."""
_NAME = re.compile(r"[^a-zA-Z0-9]+")


@dataclass(frozen=True, slots=True)
class Entity:
    """One end of an association."""

    arn: str
    kind: str
    """`ArtifactType`, `ActionType`, `ContextType`; of a trial component the kind of its source."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Home:
    """Where entities are written, when, and by whom."""

    account: str
    region: str
    now: datetime
    principal: str = SERVICE

    def arn(self, resource: str) -> str:
        """Return an ARN of this account and region."""
        return str(Arn(service="sagemaker", region=self.region, account=self.account, resource=resource))

    def record(self, noun: str, key: str, arn: str, document: Mapping[str, Any]) -> Record:
        """Return a new record, its maker noted."""
        maker = {"CreatedBy": signed_by(self.principal), "LastModifiedBy": signed_by(self.principal)}
        return Record(
            self.account, self.region, noun, key, arn, "", self.now, self.now, {**document, **maker}
        )


def artifact_key(source: Mapping[str, Any]) -> str:
    """Return the name of the artefact that a source is: its address and versions, hashed."""
    versions = sorted((each["SourceIdType"], each["Value"]) for each in source.get("SourceTypes", ()))
    text = "\n".join([source["SourceUri"], *(part for pair in versions for part in pair)])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def name_of(text: str, *, most: int = 120) -> str:
    """Return `text` as a name of an entity: letters and digits, with single hyphens between."""
    return _NAME.sub("-", text).strip("-")[-most:].strip("-") or "entity"


def artifact(
    conn: Connection, home: Home, uri: str, kind: str, *, name: str = "", version: str = ""
) -> Entity:
    """Return the artefact at an address, written where it is new."""
    source: dict[str, Any] = {"SourceUri": uri}
    if version:
        source["SourceTypes"] = [{"SourceIdType": "Custom", "Value": version}]
    key = artifact_key(source)
    title = name or name_of(uri.rstrip("/").rpartition("/")[2])
    document = {"ArtifactName": title, "ArtifactType": kind, "Source": source}
    return _written(conn, home.record("Artifact", key, home.arn(f"artifact/{key}"), document), kind, title)


def action(conn: Connection, home: Home, name: str, kind: str, source: Mapping[str, Any]) -> Entity:
    """Return the action of a name, written where it is new."""
    document = {"ActionName": name, "ActionType": kind, "Source": source, "Status": "Completed"}
    return _written(conn, home.record("Action", name, home.arn(f"action/{name}"), document), kind, name)


def context(conn: Connection, home: Home, name: str, kind: str, source: Mapping[str, Any]) -> Entity:
    """Return the context of a name, written where it is new."""
    document = {"ContextName": name, "ContextType": kind, "Source": source}
    return _written(conn, home.record("Context", name, home.arn(f"context/{name}"), document), kind, name)


def _written(conn: Connection, record: Record, kind: str, name: str) -> Entity:
    write_new(conn, record)
    return Entity(record.arn, kind, name)


def write_new(conn: Connection, record: Record) -> bool:
    """Insert a record unless its name is taken; say whether it was new."""
    try:
        records.insert(conn, record)
    except Duplicate:
        return False
    return True


def associate(conn: Connection, home: Home, source: Entity, kind: str, destination: Entity) -> bool:
    """Write the association of two entities; say whether it is new."""
    document = {
        "SourceArn": source.arn,
        "DestinationArn": destination.arn,
        "AssociationType": kind,
        "SourceType": source.kind,
        "DestinationType": destination.kind,
        "SourceName": source.name,
        "DestinationName": destination.name,
        "SourceKind": lineage_type(source.arn),
        "DestinationKind": lineage_type(destination.arn),
    }
    return write_new(
        conn, home.record("Association", association_key(source.arn, destination.arn), "", document)
    )


def association_key(source: str, destination: str) -> str:
    """Return the name under which the association of two ARNs is stored."""
    return hashlib.sha256(f"{source}\n{destination}".encode()).hexdigest()[:32]


def lineage_type(arn: str) -> str:
    """Return `Artifact`, `Action`, `Context` or `TrialComponent`; empty for other kinds."""
    return LINEAGE_TYPES.get(arn.rpartition(":")[2].partition("/")[0], "")


def entity_of(record: Record) -> Entity:
    """Return a record as an end of associations."""
    document = record.document
    match record.noun:
        case "Artifact":
            return Entity(record.arn, document["ArtifactType"], document.get("ArtifactName", ""))
        case "Action" | "Context":
            return Entity(record.arn, document[f"{record.noun}Type"], record.key)
        case _:
            kind = (document.get("Source") or {}).get("SourceType", "")
            return Entity(record.arn, kind or record.noun, record.key)


def walk(
    conn: Connection, account: str, region: str, starts: Iterable[str], *, is_down: bool, depth: int
) -> tuple[list[str], list[Mapping[str, Any]]]:
    """Return the ARNs that associations lead to from `starts`, nearest first, and the associations."""
    scope = scope_of(account, region, "Association")
    near, far = ("SourceArn", "DestinationArn") if is_down else ("DestinationArn", "SourceArn")
    seen = dict.fromkeys(starts)
    edges: dict[int, Mapping[str, Any]] = {}
    front: Sequence[str] = list(seen)
    for _ in range(depth):
        if not front or len(seen) > MAX_VERTICES:
            break
        rows = [
            row
            for at in range(0, len(front), 500)
            for row in facets.records_with(conn, [code_of(scope, near, arn) for arn in front[at : at + 500]])
        ]
        edges |= {row.id: row.document for row in rows}
        front = [arn for arn in dict.fromkeys(row.document[far] for row in rows) if arn not in seen]
        seen |= dict.fromkeys(front)
    return list(seen), list(edges.values())
