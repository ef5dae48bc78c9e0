"""Shapes of a service model: what members are called, what they hold, where they travel."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

SCALARS = frozenset(
    {"string", "blob", "boolean", "integer", "long", "float", "double", "timestamp", "character"}
)
_SILENT = frozenset({"shape", "documentation", "box", "deprecated", "deprecatedMessage", "deprecatedSince"})
"""What a reference may say of a shape without making it another one."""


class Shape:
    """One shape, as one member refers to it."""

    def __init__(self, name: str, model: Mapping[str, Any], shapes: "Shapes") -> None:
        self.name = name
        """Name in the model: `TrainingJobName`."""
        self.type_name: str = model["type"]
        """`structure`, `list`, `map`, or one of `SCALARS`."""
        self._model = model
        self._shapes = shapes

    def __repr__(self) -> str:
        return f"Shape({self.name}: {self.type_name})"

    # What it holds.

    @cached_property
    def members(self) -> Mapping[str, "Shape"]:
        """Members of a structure by wire name, in the model's order."""
        refs: Mapping[str, Any] = self._model.get("members", {})
        return {name: self._shapes.refer(ref) for name, ref in refs.items()}

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Members that a structure must have."""
        return tuple(self._model.get("required", ()))

    @cached_property
    def element(self) -> "Shape":
        """Shape of a list's elements."""
        return self._shapes.refer(self._model["member"])

    @cached_property
    def key(self) -> "Shape":
        """Shape of a map's keys."""
        return self._shapes.refer(self._model["key"])

    @cached_property
    def value(self) -> "Shape":
        """Shape of a map's values."""
        return self._shapes.refer(self._model["value"])

    # What it may be.

    @cached_property
    def enum(self) -> tuple[str, ...]:
        """Values a string may have; empty means any."""
        return tuple(self._model.get("enum", ()))

    @property
    def pattern(self) -> str | None:
        """Java's regular expression that a string must match as a whole."""
        pattern: str | None = self._model.get("pattern")
        return pattern

    @property
    def min(self) -> float | None:
        """Least value, length or count."""
        return _number(self._model.get("min"))

    @property
    def max(self) -> float | None:
        """Greatest value, length or count."""
        return _number(self._model.get("max"))

    @property
    def is_union(self) -> bool:
        """Exactly one of its members is set."""
        return bool(self._model.get("union"))

    @property
    def is_document(self) -> bool:
        """Any JSON at all."""
        return bool(self._model.get("document"))

    @property
    def is_sensitive(self) -> bool:
        """Not to be shown in logs and error texts."""
        return bool(self._model.get("sensitive"))

    # How it travels.

    @property
    def wire_name(self) -> str | None:
        """Name on the wire where it is not the member's own."""
        name: str | None = self._model.get("locationName")
        return name

    @property
    def location(self) -> str:
        """`uri`, `querystring`, `header`, `headers` or `statusCode`; empty means the body."""
        return str(self._model.get("location", ""))

    @property
    def payload(self) -> str | None:
        """Member that is the whole body."""
        member: str | None = self._model.get("payload")
        return member

    @property
    def timestamp_format(self) -> str | None:
        """`iso8601`, `unixTimestamp` or `rfc822`, where it is not the protocol's own."""
        chosen: str | None = self._model.get("timestampFormat")
        return chosen

    @property
    def is_flattened(self) -> bool:
        """A list or map without an element of its own around it."""
        return bool(self._model.get("flattened"))

    @property
    def is_xml_attribute(self) -> bool:
        """An attribute of its structure's element."""
        return bool(self._model.get("xmlAttribute"))

    @property
    def is_json_value(self) -> bool:
        """JSON in base64, in a header."""
        return bool(self._model.get("jsonvalue"))

    @property
    def xml_namespace(self) -> tuple[str, str] | None:
        """Prefix and URI of the element's namespace."""
        given = self._model.get("xmlNamespace")
        if not given:
            return None
        return ("", given) if isinstance(given, str) else (given.get("prefix", ""), given["uri"])

    @property
    def result_wrapper(self) -> str | None:
        """Element around a query protocol's answer."""
        wrapper: str | None = self._model.get("resultWrapper")
        return wrapper

    @property
    def is_event_stream(self) -> bool:
        """A union of events, sent one after the other."""
        return bool(self._model.get("eventstream"))

    @property
    def is_event_payload(self) -> bool:
        """The whole payload of its event."""
        return bool(self._model.get("eventpayload"))

    @property
    def is_event_header(self) -> bool:
        """A header of its event."""
        return bool(self._model.get("eventheader"))

    @cached_property
    def event_stream(self) -> str | None:
        """Member that is an event stream."""
        return next((name for name, shape in self.members.items() if shape.is_event_stream), None)

    # Errors.

    @property
    def is_error(self) -> bool:
        """Whether it is the shape of an error."""
        return bool(self._model.get("exception"))

    @property
    def error_code(self) -> str:
        """Code that the query protocol spells; for most shapes their name."""
        return str(self._model.get("error", {}).get("code") or self.name)

    @property
    def error_status(self) -> int | None:
        """HTTP status of the error."""
        status: int | None = self._model.get("error", {}).get("httpStatusCode")
        return status

    # Words.

    @property
    def documentation(self) -> str:
        """HTML of the shape's own documentation."""
        return str(self._model.get("documentation", ""))

    def documentation_of(self, member: str) -> str:
        """Return the HTML that documents a member of a structure."""
        ref = self._model.get("members", {}).get(member, {})
        return str(ref.get("documentation", "")) or self.members[member].documentation


class Shapes:
    """The shapes of one model; the same reference gives the same object."""

    def __init__(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        self._models = models
        self._known: dict[tuple[str, str], Shape] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._models

    def __iter__(self) -> Any:
        """Yield the names of all shapes."""
        return iter(self._models)

    def refer(self, ref: Mapping[str, Any]) -> Shape:
        """Return the shape that a reference names, with what the reference says of it."""
        name = ref["shape"]
        traits = {key: value for key, value in ref.items() if key not in _SILENT}
        mark = (name, json.dumps(traits, sort_keys=True) if traits else "")
        shape = self._known.get(mark)
        if shape is None:
            shape = self._known[mark] = Shape(name, {**self._models[name], **traits}, self)
        return shape


EMPTY = Shape("Nothing", {"type": "structure"}, Shapes({}))
"""Stands for the input or output of an operation that has none."""


def _number(given: Any) -> float | None:
    if given is None:
        return None
    return given if isinstance(given, int | float) else float(given)
