"""Search over the served nouns: filters, nested filters, sub-expressions, sorting, paging."""

from collections.abc import Mapping
from typing import Any, Literal

from clary.kernel.errors import ValidationException
from clary.resource.call import Call, as_tags
from clary.resource.families import document_of
from clary.resource.listing import run_raw
from clary.resource.operation import operation
from clary.services.sagemaker._property import Searched, property_of, searched, searched_names
from clary.store import tags
from clary.store.conditions import Clause, Condition, Group, Within
from clary.store.listing import Query, Sort

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
MAX_PARTS = 50
"""Source: API reference, Search, SearchExpression: recursive SubExpressions, NestedFilters and Filters."""


@operation("Search")
def search(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find resources of one kind by an expression over their documented properties."""
    kind = _kind(call, request["Resource"])
    if request.get("CrossAccountFilterOption") == "CrossAccount":
        raise ValidationException(
            "CrossAccountFilterOption 'CrossAccount': accounts share nothing here; use 'SameAccount'."
        )
    expression = request.get("SearchExpression", {})
    n_parts = _size(expression)
    if n_parts > MAX_PARTS:
        raise ValidationException(
            f"SearchExpression: {n_parts} filters and sub-expressions; {MAX_PARTS} are allowed."
        )
    query = Query(
        account=call.account,
        region=call.region,
        noun=kind.resource.noun,
        where=(_group(kind, expression), *_visible(request.get("VisibilityConditions", ()))),
        sort=_sort(kind, request.get("SortBy", "LastModifiedTime")),
        descending=request.get("SortOrder", "Descending") == "Descending",
        limit=int(request.get("MaxResults", PAGE)),
    )
    found, token = run_raw(call, query, request.get("NextToken"))
    labels = call.read(tags.of_many, [record.arn for record in found])
    joined = kind.resource.joined(call, found) if kind.resource.joined else [{}] * len(found)
    results = []
    for record, more in zip(found, joined, strict=True):
        shown = {**document_of(kind.resource, call, record), **more, "Tags": as_tags(labels[record.arn])}
        results.append({kind.member: {kind.inside: shown} if kind.inside else shown})
    if token:
        hits = {"Value": len(found) + 1, "Relation": "GreaterThanOrEqualTo"}
        return {"Results": results, "NextToken": token, "TotalHits": hits}
    if request.get("NextToken"):
        return {"Results": results, "TotalHits": {"Value": len(found), "Relation": "GreaterThanOrEqualTo"}}
    return {"Results": results, "TotalHits": {"Value": len(found), "Relation": "EqualTo"}}


@operation("GetSearchSuggestions")
def suggest(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return property names that begin with the hint."""
    hint = request.get("SuggestionQuery", {}).get("PropertyNameQuery", {}).get("PropertyNameHint", "")
    kind = _kind(call, request["Resource"])
    names = [name for name in kind.shape.members if name.lower().startswith(hint.lower())]
    return {"PropertyNameSuggestions": [{"PropertyName": name} for name in sorted(names)]}


def _kind(call: Call, name: str) -> Searched:
    kind = searched(call.resources, name)
    if kind is None:
        known = ", ".join(searched_names(call.resources))
        raise ValidationException(f"Resource '{name}' cannot be searched yet; there are: {known}.")
    return kind


def _size(expression: Mapping[str, Any]) -> int:
    """Return how many filters, nested filters and sub-expressions an expression has, at any depth."""
    nested = expression.get("NestedFilters", ())
    deeper = expression.get("SubExpressions", ())
    return (
        len(expression.get("Filters", ()))
        + sum(1 + len(each["Filters"]) for each in nested)
        + sum(1 + _size(each) for each in deeper)
    )


def _group(kind: Searched, expression: Mapping[str, Any]) -> Group:
    parts: list[Clause] = [_filter(kind, each) for each in expression.get("Filters", ())]
    for nested in expression.get("NestedFilters", ()):
        inner = property_of(kind, nested["NestedPropertyName"])
        if inner.kind != "list":
            raise ValidationException(
                f"NestedPropertyName '{inner.name}' is not a list of structures; use it in Filters."
            )
        clauses = (_filter(kind, each, below=inner.name) for each in nested["Filters"])
        parts.append(Within(inner.field, tuple(clauses)))
    parts += [_group(kind, each) for each in expression.get("SubExpressions", ())]
    match: Literal["all", "any"] = "any" if expression.get("Operator", "And") == "Or" else "all"
    return Group(match if parts else "all", tuple(parts))


def _filter(kind: Searched, each: Mapping[str, Any], *, below: str = "") -> Clause:
    name, text = each["Name"], each.get("Value")
    operator = OPERATORS[each.get("Operator", "Equals")]
    if below:
        name = f"{below}.{name.removeprefix(f'{below}.')}"
    asked = property_of(kind, name, below=below)
    if operator not in {"exists", "not_exists"}:
        if text is None:
            raise ValidationException(f"Filter on '{name}': operator {each.get('Operator')} needs a Value.")
        value = asked.value(each.get("Operator", "Equals"), text)
    else:
        value = None
    if operator == "eq" and name.endswith("Arn") and isinstance(value, str) and "," in value:
        operator, value = "in", tuple(value.split(","))  # so the SDK's lineage asks for several
    if asked.also is not None:
        return _either(asked.also, operator, value)
    if asked.metric is None:
        return Condition(asked.field, operator, value)
    if operator == "not_exists":
        return Condition(f"{asked.metrics}.MetricName", "ne", asked.metric)
    named = Condition("MetricName", "eq", asked.metric)
    return Within(
        asked.metrics,
        (named,) if operator == "exists" else (named, Condition(asked.member, operator, value)),
    )


def _either(fields: tuple[str, str], operator: str, value: Any) -> Group:
    """Return a test of what may stand in either of two fields; what denies must hold of both."""
    is_denial = operator in {"ne", "not_exists"}
    return Group("all" if is_denial else "any", tuple(Condition(each, operator, value) for each in fields))


def _visible(conditions: Any) -> list[Clause]:
    """Return what holds of a visible record: for each tag the value asked for, or no such tag."""
    clauses: list[Clause] = []
    for each in conditions:
        key = each.get("Key", "")
        if not key.startswith("Tags."):
            raise ValidationException(f"VisibilityConditions: Key '{key}' must have the form Tags.<key>.")
        field = f"tag:{key.removeprefix('Tags.')}"
        same = Condition(field, "eq", each.get("Value", ""))
        clauses.append(Group("any", (same, Condition(field, "not_exists"))))
    return clauses


def _sort(kind: Searched, name: str) -> str | Sort:
    if name == "LastModifiedTime":
        return "modified"  # every record has it, whatever its shape shows
    asked = property_of(kind, name)
    if asked.metric is not None:
        return Sort(asked.member, element=(asked.metrics, "MetricName", asked.metric))
    if asked.also is not None:
        return asked.also[1]
    if asked.field.startswith("tag:") or asked.kind in {"list", "structure"}:
        raise ValidationException(f"SortBy '{name}': results are sorted by single values of a resource only.")
    return Sort(asked.field, spelled=True) if asked.is_numeric_text else asked.field
