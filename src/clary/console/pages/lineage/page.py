"""Lineage: what came from what, drawn as data flows; every box leads on."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from clary.console import graphs
from clary.console.session import PATH
from clary.console.visit import Context, Page, Place, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/lineage", title="Lineage", places=(Place("Lineage", "1 Build", "/lineage", 27),), live_s=5.0
)
MOST = 50
"""Boxes of one picture: the nearest. Source: QueryLineage, `MaxResults`."""
DEPTHS = (2, 4, 6, 10)
_LOOKUPS = (
    ("ListArtifacts", "ArtifactSummaries", "SourceUri"),
    ("ListContexts", "ContextSummaries", "SourceUri"),
    ("ListActions", "ActionSummaries", "SourceUri"),
    ("ListTrialComponents", "TrialComponentSummaries", "SourceArn"),
)
_DESCRIBED = {
    "artifact": ("Artifact", "ArtifactArn"),
    "action": ("Action", "ActionName"),
    "context": ("Context", "ContextName"),
    "experiment-trial-component": ("TrialComponent", "TrialComponentName"),
}
_PAGES = {
    "training-job": "/jobs/training/",
    "processing-job": "/jobs/processing/",
    "transform-job": "/jobs/transform/",
    "endpoint": "/endpoints/",
    "model-package": "/packages/",
    "model-package-group": "/registry/",
}


def view(visit: Visit) -> Context:
    """Draw what lies up and down from one thing: its ARN, or its address in S3."""
    asked = visit.query.get("of", "").strip()
    depth = int(visit.query.get("depth", "")) if visit.query.get("depth", "").isdigit() else DEPTHS[1]
    depth = min(max(depth, 1), DEPTHS[-1])
    error, found = "", None
    try:
        start = _entity(visit, asked) if asked else ""
        if start:
            found = visit.api.call("QueryLineage", StartArns=[start], MaxDepth=depth, MaxResults=MOST)
    except AwsError as fault:
        error = fault.message
    rows = _rows(visit, found["Vertices"], start) if found else []
    edges = [(each["SourceArn"], each["DestinationArn"]) for each in found.get("Edges", ())] if found else []
    return {
        "asked": {"of": asked, "depth": depth},
        "depths": DEPTHS,
        "error": error,
        "rows": rows,
        "is_cut": bool(found and found.get("NextToken")),
        "most": MOST,
        "recent": [] if asked else _recent(visit),
        "picture": graphs.layered("Lineage, as data flows", rows, edges) if rows else "",
    }


def _entity(visit: Visit, asked: str) -> str:
    """Return the entity that stands for an ARN or an address."""
    resource = asked.split(":", 5)[-1].partition("/")[0] if asked.startswith("arn:") else ""
    if resource in _DESCRIBED:
        return asked
    for operation, items, member in _LOOKUPS:
        if member == "SourceUri" or asked.startswith("arn:"):
            answer = visit.api.seek(operation, **{member: asked}, MaxResults=1) or {}
            for each in answer.get(items, ()):
                arn: str = each[f"{items.removesuffix('Summaries')}Arn"]
                return arn
    raise AwsError(f"Nothing is known of where {asked} came from.", code="ResourceNotFound")


def _rows(visit: Visit, vertices: list[Mapping[str, Any]], start: str) -> list[graphs.Node]:
    return [
        _node(visit, each["Arn"], each.get("Type", ""), is_here=each["Arn"] == start) for each in vertices
    ]


def _node(visit: Visit, arn: str, kind: str, *, is_here: bool) -> graphs.Node:
    """Return a box with the name of what an entity stands for, and a link to its page."""
    resource, _, key = arn.split(":", 5)[-1].partition("/")
    noun, member = _DESCRIBED.get(resource, ("", ""))
    document = visit.api.seek(f"Describe{noun}", **{member: arn if member.endswith("Arn") else key}) or {}
    source = document.get("Source", {})
    uri: str = source.get("SourceUri") or source.get("SourceArn") or ""
    title = uri.rpartition("/")[2] or uri.rstrip("/").rpartition("/")[2] or document.get(f"{noun}Name", key)
    return graphs.Node(arn, title, kind or resource, _href(uri, arn), is_here)


def _href(uri: str, arn: str) -> str:
    if uri.startswith("s3://"):
        return f"{PATH}/data/{quote(uri.removeprefix('s3://'))}"
    resource, _, name = uri.split(":", 5)[-1].partition("/") if uri.startswith("arn:") else ("", "", "")
    if resource in _PAGES:
        return f"{PATH}{_PAGES[resource]}{quote(name.replace('/', ':'))}"
    return f"{PATH}/models" if resource == "model" else f"{PATH}/lineage?of={quote(arn, safe='')}"


def _recent(visit: Visit) -> list[dict[str, Any]]:
    answer = (
        visit.api.seek("ListArtifacts", SortBy="CreationTime", SortOrder="Descending", MaxResults=20) or {}
    )
    return [
        {
            "arn": each["ArtifactArn"],
            "uri": each["Source"]["SourceUri"],
            "kind": each.get("ArtifactType", ""),
            "created": each["CreationTime"],
        }
        for each in answer.get("ArtifactSummaries", ())
    ]
