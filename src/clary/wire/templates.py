"""URI templates of a rest service: which operation a method and a path mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl, unquote

from clary.wire.service import Operation, service

_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")


@dataclass(frozen=True)
class Template:
    """One operation's template, ready to match."""

    operation: Operation
    path: re.Pattern[str]
    labels: tuple[str, ...]
    is_greedy: bool
    literals: Mapping[str, str]
    """Query parameters that the template itself names: `/{Bucket}?acl`; an empty value means any."""
    headers: frozenset[str]
    """Headers of required members: CopyObject is a PutObject with `x-amz-copy-source`."""
    parameters: frozenset[str]
    """Query parameters of required members."""

    def match(self, path: str) -> dict[str, str] | None:
        """Return the labels' values, decoded, or None."""
        found = self.path.fullmatch(path)
        if found is None:
            return None
        return {label: unquote(value) for label, value in zip(self.labels, found.groups(), strict=True)}

    def is_meant(self, query: Mapping[str, str]) -> bool:
        """Tell whether the query has what the template itself names."""
        return all(key in query and value in ("", query[key]) for key, value in self.literals.items())

    def is_complete(self, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        """Tell whether the request has the required members that travel outside path and body."""
        return self.parameters <= query.keys() and all(name in headers for name in self.headers)

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Order of trial: what asks for more goes first."""
        return (
            -len(self.literals) - len(self.parameters),
            -len(self.headers),
            len(self.labels),
            int(self.is_greedy),
        )


@cache
def templates(names: tuple[str, ...]) -> Mapping[str, tuple[Template, ...]]:
    """Return the templates of several services by HTTP method, in order of trial."""
    found: dict[str, list[Template]] = {}
    for name in names:
        for operation in service(name).operations.values():
            found.setdefault(operation.method, []).append(_template(operation))
    return {method: tuple(sorted(items, key=lambda item: item.rank)) for method, items in found.items()}


def match(
    names: tuple[str, ...], method: str, path: str, query: str, headers: Mapping[str, str]
) -> tuple[Operation, dict[str, str]] | None:
    """Return the operation of a request and its labels' values, or None when no template matches.

    Where several match, the one that asks for most and gets it is meant. Where none gets all that it
    requires, it is the one that asks for least: what is missing is for validation to say.
    """
    given = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
    incomplete = None
    for template in templates(names).get(method, ()):
        labels = template.match(path)
        if labels is not None and template.is_meant(given):
            if template.is_complete(given, headers):
                return template.operation, labels
            incomplete = template.operation, labels
    return incomplete


def _template(operation: Operation) -> Template:
    uri, _, query = operation.uri.partition("?")
    labels = [(label, bool(plus)) for label, plus in _LABEL.findall(uri)]
    pieces = re.split(r"\{[^}]+\}", uri)
    source = re.escape(pieces[0])
    for (_, is_greedy), piece in zip(labels, pieces[1:], strict=True):
        source += f"({'.+' if is_greedy else '[^/]+'}){re.escape(piece)}"
    required = [operation.input.members[name] for name in operation.input.required]
    wired = [(shape.location, shape.wire_name or "") for shape in required]
    return Template(
        operation=operation,
        path=re.compile(source if source.endswith("/") else f"{source}/?", re.DOTALL),
        labels=tuple(label for label, _ in labels),
        is_greedy=any(is_greedy for _, is_greedy in labels),
        literals=dict(parse_qsl(query, keep_blank_values=True)),
        headers=frozenset(name.lower() for location, name in wired if location == "header"),
        parameters=frozenset(name for location, name in wired if location == "querystring"),
    )
