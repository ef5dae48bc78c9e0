"""Search over the served nouns: filters, nested filters, sub-expressions, sorting, paging."""

from collections.abc import Mapping
from typing import Any, Literal

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import Resource
from clary.resource.families import document_of
from clary.resource.listing import column_of, run_raw
from clary.resource.operation import operation
from clary.store.listing import Condition, Group, Query

OPERATORS = {
    "Equals": "eq",
    "NotEquals": "ne",
    "GreaterThan": "gt",
    "GreaterThanOrEqualTo": "ge",
    "LessThan": "lt",
    "LessThanOrEqualTo": "le",
    "Contains": "contains",
    "Exists": "exists",
    "NotExists": "not_exists",
    "In": "in",
}
PAGE = 100


@operation("Search")
def search(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find resources of one kind by an expression over their documented properties."""
    resource = _resource(call, request["Resource"])
    expression = request.get("SearchExpression", {})
    group = _group(resource, expression)
    query = Query(
        account=call.account,
        region=call.region,
        noun=resource.noun,
        where=group.conditions,
        match=group.match,
        sort=column_of(resource, request.get("SortBy", "LastModifiedTime")),
        descending=request.get("SortOrder", "Descending") == "Descending",
        limit=int(request.get("MaxResults", PAGE)),
        after=None,
    )
    found, token = run_raw(call, query, request.get("NextToken"))
    results = []
    for record in found:
        shown = document_of(resource, call, record)
        shown["Tags"] = call.tags_of(record.arn)
        results.append({request["Resource"]: shown})
    answer: dict[str, Any] = {"Results": results}
    if token:
        answer["NextToken"] = token
    return answer


@operation("GetSearchSuggestions")
def suggest(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return property names that begin with the hint."""
    hint = request.get("SuggestionQuery", {}).get("PropertyNameQuery", {}).get("PropertyNameHint", "")
    _resource(call, request["Resource"])
    members = call.world.extras["members_of"](request["Resource"])
    names = [name for name in members if name.lower().startswith(hint.lower())]
    return {"PropertyNameSuggestions": [{"PropertyName": name} for name in sorted(names)]}


def _resource(call: Call, name: str) -> Resource:
    resource = call.resources.get(name)
    if resource is None:
        raise ValidationException(
            f"Resource '{name}' cannot be searched yet; there are: {', '.join(sorted(call.resources))}."
        )
    return resource


def _group(resource: Resource, expression: Mapping[str, Any]) -> Group:
    parts: list[Condition | Group] = [_filter(resource, each) for each in expression.get("Filters", ())]
    for nested in expression.get("NestedFilters", ()):
        path = nested["NestedPropertyName"]
        parts.append(
            Group("all", tuple(_filter(resource, each, below=f"{path}.") for each in nested["Filters"]))
        )
    parts += [_group(resource, each) for each in expression.get("SubExpressions", ())]
    match: Literal["all", "any"] = "any" if expression.get("Operator", "And") == "Or" else "all"
    return Group(match, tuple(parts))


def _filter(resource: Resource, each: Mapping[str, Any], *, below: str = "") -> Condition:
    name = each["Name"]
    operator = OPERATORS[each.get("Operator", "Equals")]
    if name.startswith("Tags."):
        field = f"tag:{name.removeprefix('Tags.')}"
    elif below and not name.startswith(below):
        field = below + name
    else:
        field = column_of(resource, name)
    value: Any = each.get("Value")
    if operator == "in":
        value = [part.strip() for part in str(value).split(",")]
    return Condition(field, operator, value)
