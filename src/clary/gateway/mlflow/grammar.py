"""MLflow's filters and orders: `metrics.rmse < 1 and tags."my tag" LIKE '%x%'`.

Source
------
MLflow documentation, "Search Runs" and "Search Experiments".
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clary.gateway.mlflow.errors import invalid
from clary.kernel.clock import from_epoch_ms

KINDS = {
    "metric": "metrics", "metrics": "metrics", "param": "params", "params": "params",
    "parameter": "params", "parameters": "params", "tag": "tags", "tags": "tags",
    "attribute": "attributes", "attributes": "attributes", "attr": "attributes", "run": "attributes",
}  # fmt: skip
OPERATORS = {"=": "eq", "==": "eq", "!=": "ne", ">": "gt", ">=": "ge", "<": "lt", "<=": "le"}
_NAME = r"""(?:`(?:[^`])+`|"(?:[^"])+"|[\w./\-]+)"""
_VALUE = r"""(?:'(?:[^'])*'|"(?:[^"])*"|[-+\w.]+)"""
_TERM = re.compile(
    rf"""\s*(?:(?P<kind>\w+)\.)?(?P<name>{_NAME})\s*
    (?:(?P<null>IS\s+(?:NOT\s+)?NULL)
      |(?P<some>(?:NOT\s+)?IN)\s*\((?P<values>[^)]*)\)
      |(?P<op>!=|>=|<=|==|=|>|<|I?LIKE\b)\s*(?P<value>{_VALUE}))\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_AND = re.compile(r"AND\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison, in the store's operators."""

    kind: str
    """`metrics`, `params`, `tags` or `attributes`."""
    name: str
    op: str
    value: Any

    @property
    def moment(self) -> datetime:
        """The value as a time; it is given in milliseconds."""
        try:
            return from_epoch_ms(int(float(self.value)))
        except (TypeError, ValueError):
            raise invalid(f"filter: {self.name} is compared with milliseconds, not {self.value!r}.") from None


def parse(text: str) -> list[Term]:
    """Take a filter apart.

    Raises
    ------
    MlflowError
        It is none that MLflow's documentation allows.
    """
    terms: list[Term] = []
    at = 0
    while text[at:].strip():
        if terms:
            joint = _AND.match(text, at)
            if joint is None:
                raise invalid(f"filter: expected AND at {text[at:][:40]!r}; OR and NOT are not part of it.")
            at = joint.end()
        match = _TERM.match(text, at)
        if match is None:
            raise invalid(f"filter: {text[at:][:60]!r} is not a comparison such as metrics.loss < 1.")
        terms.append(_term(match))
        at = match.end()
    return terms


def _term(match: re.Match[str]) -> Term:
    kind = (match["kind"] or "attributes").lower()
    if kind not in KINDS:
        raise invalid(f"filter: '{kind}' is not one of metrics, params, tags, attributes.")
    kind, name = KINDS[kind], match["name"].strip('`"')
    if match["null"]:
        return Term(kind, name, "exists" if "NOT" in match["null"].upper() else "not_exists", None)
    if match["some"]:
        values = tuple(_plain(each.strip()) for each in match["values"].split(",") if each.strip())
        return Term(kind, name, "not_in" if "NOT" in match["some"].upper() else "in", values)
    value, operator = _plain(match["value"]), match["op"].upper()
    if operator in OPERATORS:
        return Term(kind, name, OPERATORS[operator], value)
    if operator == "ILIKE":
        raise invalid(f"filter: ILIKE on '{name}' is not served; LIKE is, letter case counting.")
    return Term(kind, name, *_like(name, value))


def _like(name: str, pattern: str) -> tuple[str, str]:
    """Return operator and text of a LIKE that an index can answer."""
    inner = pattern.strip("%")
    if "%" in inner or "_" in inner or pattern == f"%{inner}":
        raise invalid(f"filter: LIKE '{pattern}' on '{name}': served are 'x', 'x%' and '%x%'.")
    if pattern == inner:
        return "eq", inner
    return ("contains" if pattern.startswith("%") else "prefix"), inner


def _plain(text: str) -> str:
    return text[1:-1] if text[:1] in {"'", '"'} and text[-1:] == text[:1] else text


def order(text: str) -> tuple[str, str, bool]:
    """Return kind, name and direction (descending) of one item of `order_by`."""
    match = re.fullmatch(rf"\s*(?:(\w+)\.)?({_NAME})(?:\s+(ASC|DESC))?\s*", text, re.IGNORECASE)
    kind = (match[1] or "attributes").lower() if match else ""
    if match is None or kind not in KINDS:
        raise invalid(f"order_by: {text!r} is not such as 'metrics.loss ASC'.")
    return KINDS[kind], match[2].strip('`"'), (match[3] or "ASC").upper() == "DESC"
