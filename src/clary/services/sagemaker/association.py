"""Associations of lineage entities, and QueryLineage, which walks along them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import ResourceNotFound, ValidationException
from clary.resource import tokens
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.listing import Page, page_of
from clary.resource.operation import operation
from clary.services.sagemaker import _lineage as lineage
from clary.services.sagemaker import _lineage_readings as readings
from clary.services.sagemaker._experiments import CREATED
from clary.store import records
from clary.store.conditions import Condition, Group
from clary.store.records import Record

MAX_DEPTH, PAGE = 10, 50
"""Source: shapes `QueryLineageMaxDepth` and `QueryLineageMaxResults`, `max`."""
_SHORT = "SageMaker"
"""Before the kind of a job in `SourceType`; not in the type of its vertex."""

ASSOCIATION = Resource(
    noun="Association", key="AssociationKey", arn="association/{AssociationKey}", filters=CREATED
)


@operation("AddAssociation")
def add_association(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say that one entity leads to another."""
    arns = [request["SourceArn"], request["DestinationArn"]]
    for arn in arns:
        call.own(arn)
    if arns[0] == arns[1]:
        raise ValidationException(f"SourceArn and DestinationArn are both {arns[0]}.")
    home = lineage.Home(call.account, call.region, call.now, call.principal)

    def unit(conn: Connection) -> bool:
        found = records.find_by_arns(conn, arns)
        for arn in arns:
            if arn not in found or found[arn].region != call.region:
                raise ResourceNotFound(f"Lineage entity '{arn}' does not exist.")
        source, destination = (lineage.entity_of(found[arn]) for arn in arns)
        return lineage.associate(conn, home, source, request.get("AssociationType", ""), destination)

    if not call.write(unit):
        raise ValidationException(f"The association of {arns[0]} with {arns[1]} already exists.")
    return {"SourceArn": arns[0], "DestinationArn": arns[1]}


@operation("DeleteAssociation")
def delete_association(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take back that one entity leads to another."""
    arns = {name: request[name] for name in ("SourceArn", "DestinationArn")}
    key = lineage.association_key(*arns.values())
    if not call.write(records.delete, call.account, call.region, "Association", key):
        raise ResourceNotFound(
            f"There is no association of {arns['SourceArn']} with {arns['DestinationArn']}."
        )
    return arns


@operation("ListAssociations")
def list_associations(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page; a type is an entity's own (`DataSet`) or its kind (`Artifact`)."""
    reading = readings.of_list(request)
    if reading is not None and not _listed(call, {**request, "MaxResults": 1, "NextToken": ""}).items:
        page = _listed(call, reading.request(request))
        items = [readings.turned(each) if reading.is_backward else each for each in page.items]
    else:
        page = _listed(call, request)
        items = page.items
    return {"AssociationSummaries": items} | ({"NextToken": page.next_token} if page.next_token else {})


def _listed(call: Call, request: Mapping[str, Any]) -> Page:
    where = [
        Group(
            "any", (Condition(f"{end}Type", "eq", request[f"{end}Type"]), _kind(end, request[f"{end}Type"]))
        )
        for end in ("Source", "Destination")
        if f"{end}Type" in request
    ]
    rest = {name: value for name, value in request.items() if name not in {"SourceType", "DestinationType"}}
    return page_of(call, ASSOCIATION, rest, *where)


def _kind(end: str, kind: str) -> Condition:
    return Condition(f"{end}Kind", "eq", kind)


@operation("QueryLineage")
def query_lineage(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what lies up or down the associations from an entity, nearest first."""
    starts = request.get("StartArns", ())
    if not starts:
        raise ValidationException("StartArns must name the entity to start from.")
    for arn in starts:
        call.own(arn)
    depth = request.get("MaxDepth", MAX_DEPTH)
    limit = request.get("MaxResults", PAGE)
    for name, value, most in (("MaxDepth", depth, MAX_DEPTH), ("MaxResults", limit, PAGE)):
        if not 1 <= value <= most:
            raise ValidationException(f"{name} {value} must be between 1 and {most}.")
    found, edges = call.read(_walked, call, starts, request.get("Direction", "Both"), depth)
    if starts[0] not in found:
        raise ResourceNotFound(f"Lineage entity '{starts[0]}' does not exist.")
    vertices = _fitting(found, request)
    if not vertices and readings.is_of_query(request):
        found, edges = call.read(_walked, call, starts, "Ascendants", 1)
        vertices = _fitting(found, request)
    return _page(vertices, edges, request, limit)


def _walked(
    conn: Connection, call: Call, starts: Sequence[str], direction: str, depth: int
) -> tuple[dict[str, Record], list[Mapping[str, Any]]]:
    arns: dict[str, None] = {}
    edges: dict[tuple[str, str], Mapping[str, Any]] = {}
    for is_down, name in ((False, "Ascendants"), (True, "Descendants")):
        if direction in {name, "Both"}:
            near, along = lineage.walk(conn, call.account, call.region, starts, is_down=is_down, depth=depth)
            arns |= dict.fromkeys(near)
            edges |= {(each["SourceArn"], each["DestinationArn"]): each for each in along}
    found = records.find_by_arns(conn, arns)
    return {arn: found[arn] for arn in arns if arn in found}, list(edges.values())


def _fitting(found: Mapping[str, Record], request: Mapping[str, Any]) -> list[dict[str, str]]:
    return [_vertex(each) for each in found.values() if _fits(each, request.get("Filters", {}))]


def _vertex(record: Record) -> dict[str, str]:
    kind = lineage.entity_of(record).kind
    if record.noun == "TrialComponent":
        kind = kind.removeprefix(_SHORT)
    return {"Arn": record.arn, "Type": kind, "LineageType": lineage.lineage_type(record.arn)}


def _fits(record: Record, filters: Mapping[str, Any]) -> bool:
    vertex = _vertex(record)
    properties = record.document.get("Properties", {})
    return bool(
        vertex["LineageType"]
        and vertex["Type"] in (filters.get("Types") or (vertex["Type"],))
        and vertex["LineageType"] in (filters.get("LineageTypes") or (vertex["LineageType"],))
        and ("CreatedAfter" not in filters or record.created > filters["CreatedAfter"])
        and ("CreatedBefore" not in filters or record.created < filters["CreatedBefore"])
        and ("ModifiedAfter" not in filters or record.modified > filters["ModifiedAfter"])
        and ("ModifiedBefore" not in filters or record.modified < filters["ModifiedBefore"])
        and all(properties.get(name) == value for name, value in filters.get("Properties", {}).items())
    )


def _page(
    vertices: list[dict[str, str]], edges: list[Mapping[str, Any]], request: Mapping[str, Any], limit: int
) -> dict[str, Any]:
    """Return one page of vertices, and the edges of its vertices to any vertex of the answer."""
    arns = [each["Arn"] for each in vertices]
    first = 0
    if request.get("NextToken"):
        try:
            first = arns.index(tokens.decode(request["NextToken"], str)) + 1
        except ValueError:
            raise ValidationException("NextToken is not a token that this operation gave out.") from None
    shown = vertices[first : first + limit]
    here, known = {each["Arn"] for each in shown}, set(arns)
    answer: dict[str, Any] = {"Vertices": shown, "Edges": []}
    if request.get("IncludeEdges", True):
        answer["Edges"] = [
            {name: each[name] for name in ("SourceArn", "DestinationArn", "AssociationType") if each[name]}
            for each in edges
            if {each["SourceArn"], each["DestinationArn"]} <= known
            and (each["SourceArn"] in here or each["DestinationArn"] in here)
        ]
    if first + limit < len(vertices):
        answer["NextToken"] = tokens.encode(shown[-1]["Arn"])
    return answer
