"""Search of runs: MLflow's filters as conditions on trial components."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from clary.gateway.mlflow import experiments, grammar, runs
from clary.gateway.mlflow.errors import invalid
from clary.gateway.mlflow.experiments import TAGS
from clary.gateway.mlflow.grammar import Term
from clary.gateway.mlflow.values import WRITTEN, as_float
from clary.resource.call import Call
from clary.resource.listing import run_raw
from clary.store.conditions import Clause, Condition, Group, Within, path
from clary.store.listing import Query, Sort
from clary.store.records import Record

PAGE = 1_000
MOST = 50_000
TIMES = {"start_time": "StartTime", "end_time": "EndTime", "created": "created"}
REST = "rest:"
"""Begins the token of a page of those that have not what the others are sorted by: they come last."""


def search(call: Call, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return runs of some experiments by what was logged in them."""
    named = [
        experiments.find(call, str(each)).key
        for each in request.get("experiment_ids") or (experiments.DEFAULT_ID,)
    ]
    terms = grammar.parse(request.get("filter") or "")
    view = str(request.get("run_view_type") or "ACTIVE_ONLY")
    where = (
        Condition("Parents.ExperimentName", "in", tuple(named)),
        *experiments.of_stage(view),
        *(clause(each) for each in terms),
    )
    limit = int(request.get("max_results") or PAGE)
    if not 1 <= limit <= MOST:
        raise invalid(f"max_results {limit} must be between 1 and {MOST}.")
    sort, is_descending, present = order(request.get("order_by") or ())
    token = request.get("page_token") or ""
    found: list[Record] = []
    following = ""
    if not token.startswith(REST):
        query = Query(
            call.account, call.region, "TrialComponent", (*where, *((present,) if present else ())),
            sort=sort, descending=is_descending, limit=limit,
        )  # fmt: skip
        found, next_token = run_raw(call, query, token or None)
        following = next_token or (REST if present else "")
        token = ""
    if following in {"", REST} and present and len(found) < limit:
        absent = Group("all", (_not(present),))
        query = Query(call.account, call.region, "TrialComponent", (*where, absent), limit=limit - len(found))
        rest, next_token = run_raw(call, query, token.removeprefix(REST) or None)
        found += rest
        following = f"{REST}{next_token}" if next_token else ""
    answer: dict[str, Any] = {"runs": runs.shown(call, found)}
    return answer | ({"next_page_token": following} if following else {})


def _not(present: Condition) -> Condition:
    return Condition(present.field, {"eq": "ne", "exists": "not_exists"}[present.op], present.value)


def clause(term: Term) -> Clause:
    """Return a filter's comparison as a condition."""
    if term.op == "not_in":
        one = clause(Term(term.kind, term.name, "in", term.value))
        assert isinstance(one, Condition)
        return Group("all", tuple(Condition(one.field, "ne", each) for each in one.value))
    match term.kind:
        case "metrics":
            return _metric(term)
        case "params":
            return _parameter(term)
        case "tags":
            if term.name == runs.NAME_TAG:
                return _name(term)
            fields = (path(TAGS, term.name), f"tag:{term.name}")
            how = "all" if term.op in {"ne", "not_exists"} else "any"
            return Group(how, tuple(Condition(each, term.op, term.value) for each in fields))  # type: ignore[arg-type]
        case _:
            return _attribute(term)


def _metric(term: Term) -> Clause:
    named = Condition("MetricName", "eq", term.name)
    if term.op in {"exists", "not_exists"}:
        return Condition("Metrics.MetricName", "eq" if term.op == "exists" else "ne", term.name)
    if term.op not in {"eq", "ne", "gt", "ge", "lt", "le"}:
        raise invalid(f"filter: metrics.{term.name} is compared with =, !=, <, <=, > or >=.")
    return Within("Metrics", (named, Condition("Last", term.op, as_float(term.value))))


def _parameter(term: Term) -> Clause:
    if term.op in {"gt", "ge", "lt", "le"}:
        raise invalid(f"filter: params.{term.name} is a text: compare it with =, !=, LIKE or IN.")
    fields = [path("Parameters", term.name, each) for each in ("StringValue", WRITTEN, "NumberValue")]
    if term.op in {"contains", "prefix"}:
        del fields[2]
    how = "all" if term.op in {"ne", "not_exists"} else "any"
    return Group(how, tuple(Condition(each, term.op, term.value) for each in fields))  # type: ignore[arg-type]


def _attribute(term: Term) -> Clause:
    name = term.name.lower()
    if name in {"run_id", "run_uuid"}:
        return Condition("key", term.op, term.value)
    if name in {"run_name", "run name"}:
        return _name(term)
    if name == "status":
        values = term.value if isinstance(term.value, tuple) else (term.value,)
        known = tuple(runs.STATUSES.get(str(each).upper(), str(each)) for each in values)
        return Condition("Status.PrimaryStatus", term.op, known if term.op == "in" else known[0])
    if name in {"user_id", "user"}:
        return Condition(runs.USER, term.op, term.value)
    if name in TIMES:
        moment: datetime = term.moment
        return Condition(TIMES[name], term.op, moment)
    known_names = ", ".join(("run_id", "run_name", "status", "user_id", *TIMES))
    raise invalid(f"filter: attribute '{term.name}' is not one of {known_names}.")


def _name(term: Term) -> Clause:
    mine = Condition(path(TAGS, runs.NAME_TAG), term.op, term.value)
    other = Group(
        "all",
        (
            Condition(path(TAGS, runs.NAME_TAG), "not_exists"),
            Condition("DisplayName", term.op, term.value),
        ),
    )
    return mine if term.op in {"ne", "not_exists"} else Group("any", (mine, other))


def order(wanted: Any) -> tuple[str | Sort, bool, Condition | None]:
    """Return what to sort by, whether downwards, and what those have that come first.

    Beside one item only the attributes that break ties may stand, which need no saying.
    """
    items = [grammar.order(each) for each in wanted]
    main = [
        item for item in items if item[:2] not in {("attributes", "run_id"), ("attributes", "start_time")}
    ]
    if len(main) > 1:
        raise invalid(
            "order_by: one metric, parameter, tag or attribute is served, then start_time and run_id."
        )
    if not items:
        return "created", True, None
    kind, name, is_descending = (main or items)[0]
    match kind:
        case "metrics":
            sort = Sort("Last", element=("Metrics", "MetricName", name))
            return sort, is_descending, Condition("Metrics.MetricName", "eq", name)
        case "params":
            field = path("Parameters", name)
            number = path("Parameters", name, "NumberValue")
            return number, is_descending, Condition(field, "exists")
        case "tags":
            return path(TAGS, name), is_descending, Condition(path(TAGS, name), "exists")
    fields = {**TIMES, "run_id": "key", "run_name": "DisplayName", "status": "Status.PrimaryStatus"}
    if name.lower() not in fields:
        raise invalid(f"order_by: attribute '{name}' is not one of {', '.join(fields)}.")
    return fields[name.lower()], is_descending, None
