"""Properties that Search knows: the members of a resource's record in the service model, by path."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.declare import Resource
from clary.resource.listing import column_of
from clary.store.conditions import as_time, path
from clary.wire.service import service
from clary.wire.shape import Shape

_MEMBERS = {"ExperimentTrial": "Trial", "ExperimentTrialComponent": "TrialComponent"}
"""Values of `Resource` that are not their member of `SearchRecord`."""
_INSIDE = {"Model": "Model"}
"""Records whose resource is a member of theirs: the model dashboard's."""
_ORDERED = frozenset({"GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo"})
_TEXTUAL = frozenset({"Contains", "In"})
STATISTICS = ("Min", "Max", "Avg", "StdDev", "Last", "Count")
"""Members of a trial component's summary of a metric."""
_KINDS = {
    "string": "text", "character": "text", "timestamp": "time", "boolean": "truth", "list": "list",
    "structure": "structure", "map": "structure", "integer": "number", "long": "number", "float": "number",
    "double": "number",
}  # fmt: skip


@dataclass(frozen=True)
class Searched:
    """A kind of resource that can be searched."""

    resource: Resource
    member: str
    """Its member of `SearchRecord`."""
    inside: str
    """The member of that which holds the resource; empty where it is the resource itself."""
    shape: Shape
    """What the resource has."""


@dataclass(frozen=True)
class Property:
    """One property of a searched resource."""

    name: str
    """As the client wrote it."""
    field: str
    """Of the store's conditions; inside a nested filter relative to the list's element."""
    kind: str
    """`text`, `number`, `time`, `truth`, `list` or `structure`."""
    metric: str | None = None
    """Metric of `Metrics.<metric>`."""
    member: str = "Value"
    """Of the metric's structure in `metrics`: `Max` of `Metrics.<metric>.max`."""
    metrics: str = "FinalMetricDataList"
    """List that the metric is in."""
    also: tuple[str, str] | None = None
    """Fields of a parameter's text and number, one of which a filter means by its value."""
    is_numeric_text: bool = False
    """A text that may be compared as a number: a hyperparameter."""

    def value(self, operator: str, text: str) -> Any:
        """Return the value that a filter compares with.

        Raises
        ------
        ValidationException
            The operator or the value does not suit the property.
        """
        where = f"Filter on '{self.name}'"
        if self.kind in {"list", "structure"}:
            raise ValidationException(f"{where}: {operator} does not apply; name a property inside it.")
        if operator in _TEXTUAL and self.kind != "text":
            raise ValidationException(f"{where}: {operator} is only supported for text properties.")
        if operator in _ORDERED and (self.kind == "truth" or self._is_plain_text):
            raise ValidationException(f"{where}: {operator} is not supported for {self.kind} properties.")
        if operator == "In":
            return tuple(part.strip() for part in text.split(","))
        return self._read(where, text, is_number=self.kind == "number" or operator in _ORDERED)

    @property
    def _is_plain_text(self) -> bool:
        return self.kind == "text" and not self.is_numeric_text

    def _read(self, where: str, text: str, *, is_number: bool) -> Any:
        if is_number and self.kind != "time":
            try:
                return float(text)
            except ValueError:
                raise ValidationException(f"{where}: Value '{text}' is not a number.") from None
        if self.kind == "truth":
            if text.lower() not in {"true", "false"}:
                raise ValidationException(f"{where}: Value '{text}' must be true or false.")
            return text.lower() == "true"
        if self.kind == "time":
            moment: datetime | None = as_time(text)
            if moment is None:
                raise ValidationException(
                    f"{where}: Value '{text}' is not an ISO 8601 time, like 2026-01-31T12:00:00."
                )
            return moment
        return text


def searched(resources: Mapping[str, Resource], name: str) -> Searched | None:
    """Return what `Resource` value `name` stands for; None where that is not served."""
    member = _MEMBERS.get(name, name)
    shape = _records().get(member)
    if member not in resources or shape is None:
        return None
    inside = _INSIDE.get(member, "")
    return Searched(resources[member], member, inside, shape.members[inside] if inside else shape)


def searched_names(resources: Mapping[str, Resource]) -> list[str]:
    """Return the values of `Resource` that are served."""
    values = service("sagemaker").operations["Search"].input.members["Resource"].enum
    return sorted(name for name in values if searched(resources, name) is not None)


def property_of(kind: Searched, name: str, *, below: str = "") -> Property:
    """Return the property that a client names.

    Parameters
    ----------
    below : str
        The list of a nested filter: the property must lie in it.

    Raises
    ------
    ValidationException
        The resource has no such property, or Search does not know it.
    """
    given = name
    if kind.inside:
        name = name.removeprefix(f"{kind.inside}.")
    first, _, rest = name.partition(".")
    first = _spelled(kind, first)
    name = f"{first}.{rest}" if rest else first
    if not below and kind.member == "TrialComponent" and rest:
        special = _of_component(given, first, rest)
        if special is not None:
            return special
    if not below and first == "Tags" and rest:
        return Property(given, f"tag:{rest}", "text")
    if not below and first == "Metrics" and rest and "FinalMetricDataList" in kind.shape.members:
        return Property(given, "", "number", metric=rest)
    if first == "Tags" or (first in kind.resource.view and first not in kind.resource.kept):
        raise ValidationException(f"Property '{given}' of {kind.member} cannot be searched.")
    names, found = _walk(kind, given, name)
    if not below:
        field = column_of(kind.resource, names[0]) if len(names) == 1 else path(*names)
        field = "arn" if field == kind.resource.arn_member else field
    else:
        field = path(*names[below.count(".") + 1 :])
    return Property(
        given, field, _KINDS.get(found.type_name, "text"), is_numeric_text=first == "HyperParameters"
    )


def _spelled(kind: Searched, first: str) -> str:
    """Return the first name as the model spells it: `ExperimentAnalytics` is told `metrics.loss.max`."""
    known = {name.lower(): name for name in (*kind.shape.members, "Tags", "Metrics")}
    return first if first in kind.shape.members else known.get(first.lower(), first)


def _of_component(given: str, first: str, rest: str) -> Property | None:
    """Return a metric's statistic or a parameter's value of a trial component; None for other names."""
    before, _, last = rest.rpartition(".")
    if first == "Metrics":
        known = {name.lower(): name for name in STATISTICS}
        if before and last.lower() in known:
            return Property(given, "", "number", metric=before, metrics="Metrics", member=known[last.lower()])
        if rest in {"MetricName", "SourceArn", "TimeStamp", *STATISTICS}:
            return None  # of the list's structures
        return Property(given, "", "number", metric=rest, metrics="Metrics", member="Last")
    if first == "Parameters":
        name = before if before and last in {"StringValue", "NumberValue"} else rest
        texts, numbers = (path("Parameters", name, each) for each in ("StringValue", "NumberValue"))
        if name == rest:
            return Property(given, texts, "text", is_numeric_text=True, also=(texts, numbers))
        return Property(given, *((texts, "text") if last == "StringValue" else (numbers, "number")))
    return None


def _walk(kind: Searched, given: str, name: str) -> tuple[list[str], Shape]:
    """Return the members on the way to a property, and its shape; lists are walked through."""
    shape, names, rest = kind.shape, [], name
    while rest:
        while shape.type_name == "list":
            shape = shape.element
        if shape.type_name == "map":
            names.append(rest)  # a key may hold dots
            return names, shape.value
        member, _, rest = rest.partition(".")
        if member not in shape.members:
            raise ValidationException(
                f"Unknown property name: '{given}' is not a property of {kind.member}; "
                f"{'.'.join(names) or 'it'} has: {', '.join(sorted(shape.members)) or 'nothing inside'}."
            )
        shape = shape.members[member]
        names.append(member)
    return names, shape


def _records() -> Mapping[str, Shape]:
    return service("sagemaker").operations["Search"].output.members["Results"].element.members
