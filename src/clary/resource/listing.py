"""Lists: the request's filters read by their grammar, sorted and paged in SQL.

Grammar of filter members: `<Column>{Equals,Contains,Prefix,After,Before}`, or a bare member that must be
equal; `Name`, `CreationTime`, `LastModifiedTime` and `Status` are the record's own columns.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.store import listing
from clary.store.conditions import Clause
from clary.store.listing import Condition, Position, Query
from clary.store.records import Record
from clary.wire.service import Operation

PAGING = frozenset({"NextToken", "MaxResults", "SortBy", "SortOrder"})
DEFAULT_PAGE = 10
"""Items of a page when the request names no `MaxResults`.

Source: service model, `MaxResults` of 30 operations; those that are silent behave the same."""
DEFAULT_PAGES = {
    "ListClusterExtensionVersions": 100,
    "ListClusterExtensions": 100,
    "ListEdgeDeploymentPlans": 50,
    "ListJobSchemaVersions": 5,
    "ListJobs": 50,
    "ListMonitoringAlertHistory": 100,
    "ListMonitoringAlerts": 100,
    "ListOptimizationJobs": 50,
}
"""Operations for which the service model documents another number."""

_SUFFIXES = {
    "Equals": "eq",
    "Contains": "contains",
    "Prefix": "prefix",
    "After": "gt",
    "Before": "lt",
}
_COLUMNS = {"Name": "key", "CreationTime": "created", "LastModifiedTime": "modified", "Status": "status"}


@dataclass(frozen=True)
class Page:
    """One page of a list, ready for the wire."""

    items: list[dict[str, Any]]
    next_token: str | None


class Listing:
    """The handler of one `List…` operation."""

    def __init__(self, resource: Resource, operation: Operation) -> None:
        self._resource = resource
        self._operation = operation
        members = operation.output.members
        self._items = next(name for name, shape in members.items() if shape.type_name == "list")

    def __call__(self, call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer one page."""
        limit = DEFAULT_PAGES.get(self._operation.name, DEFAULT_PAGE)
        page = page_of(call, self._resource, request, limit=limit)
        answer: dict[str, Any] = {self._items: page.items}
        if page.next_token:
            answer["NextToken"] = page.next_token
        return answer


def page_of(
    call: Call, resource: Resource, request: Mapping[str, Any], *fixed: Clause, limit: int = DEFAULT_PAGE
) -> Page:
    """Return one page of the caller's records of a noun.

    Parameters
    ----------
    request : mapping
        The List request: filters, `SortBy`, `SortOrder`, `MaxResults`, `NextToken`.
    fixed : Clause
        Conditions that hold whatever the request says.

    Raises
    ------
    ValidationException
        The token is not one that this very query gave out.
    """
    where = (
        *fixed,
        *(condition(resource, name, value) for name, value in sorted(request.items()) if name not in PAGING),
    )
    sort = column_of(resource, str(request.get("SortBy", "CreationTime")))
    order = str(request.get("SortOrder", "Descending" if resource.descending else "Ascending"))
    query = Query(
        account=call.account,
        region=call.region,
        noun=resource.noun,
        where=where,
        match="all",
        sort=sort,
        descending=order.lower().startswith("desc"),
        limit=int(request.get("MaxResults", limit)),
        after=None,
    )
    found, token = run_raw(call, query, request.get("NextToken"))
    return Page(items=[_summary(resource, call, record) for record in found], next_token=token)


def run_raw(call: Call, query: Query, token: str | None) -> tuple[list[Record], str | None]:
    """Read one page of `query`, from where `token` left off; return its records and the next token.

    Raises
    ------
    ValidationException
        The query makes no sense, or the token is not one that this very query gave out.
    """
    mark = _mark(query)
    if token:
        query = replace(query, after=_position(token, mark))
    try:
        page = call.read(listing.page, query)
    except ValueError as error:
        raise ValidationException(str(error)) from None
    return list(page.records), _token(page.next, mark) if page.next else None


def plain(resource: Resource, record: Record) -> dict[str, Any]:
    """Return the stored members with times and status, nothing computed."""
    shown = {
        **record.document,
        "CreationTime": record.created,
        "LastModifiedTime": record.modified,
        resource.arn_member: record.arn,
    }
    if resource.status:
        shown[resource.status] = record.status
    return shown


def _summary(resource: Resource, call: Call, record: Record) -> dict[str, Any]:
    shown = plain(resource, record)
    for member, view in resource.summary_view.items():
        shown[member] = view(call, record)
    return shown


def condition(resource: Resource, name: str, value: Any) -> Condition:
    """Return the condition that a filter member of a List request stands for."""
    declared = resource.filters.get(name)
    if declared:
        column, _, operator = declared.partition(" ")
        return Condition(column, operator or "eq", value)
    for suffix, operator in _SUFFIXES.items():
        if name.endswith(suffix):
            return Condition(column_of(resource, name.removesuffix(suffix)), operator, value)
    return Condition(column_of(resource, name), "eq", value)


def column_of(resource: Resource, name: str) -> str:
    """Return the record's column, or the document's path, that a wire name stands for."""
    if name in {resource.name_member, "Name"}:
        return "key"
    if name in {resource.status, "Status"} and resource.status:
        return "status"
    return _COLUMNS.get(name, name)


def _mark(query: Query) -> str:
    text = repr(
        (query.account, query.region, query.noun, query.where, query.match, query.sort, query.descending)
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _token(position: Position, mark: str) -> str:
    text = json.dumps([mark, *position.to_json()])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _position(token: str, mark: str) -> Position:
    try:
        given, *values = json.loads(base64.urlsafe_b64decode(token.encode()))
        position = Position.from_json(values)
    except (ValueError, TypeError):
        raise ValidationException("NextToken is not a token that this operation gave out.") from None
    if given != mark:
        raise ValidationException(
            "NextToken belongs to another request: filters and sorting must stay the same."
        )
    return position
