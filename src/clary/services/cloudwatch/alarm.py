"""CloudWatch alarms: a metric held against a threshold, over and over; read by deployments and by scaling.

INSUFFICIENT_DATA ◀─▶ OK ◀─▶ ALARM       each look may lead to each; the alarm ends with its record
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from clary.engine.machine import Job, Machine, Move
from clary.engine.world import World
from clary.kernel.arns import Arn
from clary.kernel.clock import epoch_ms
from clary.kernel.errors import AwsError
from clary.resource import tokens
from clary.resource.call import Call, from_tags
from clary.resource.declare import Resource
from clary.resource.operation import operation
from clary.services.cloudwatch import _actions
from clary.services.cloudwatch import _evaluation as evaluation
from clary.services.cloudwatch.metric import SHORT_PERIODS, check_statistic
from clary.services.sns._records import has_topic
from clary.store import listing, metrics, records, tags, work
from clary.store.listing import Query
from clary.store.records import Record
from clary.store.work import Work

NOUN = "MetricAlarm"
PAGE = 50
"""Source: API reference, DescribeAlarms, MaxRecords."""
LOOK_S = 5.0
"""Longest time between two looks at an alarm's metric; AWS looks once a minute."""
LONGEST_SPAN_S = 86_400
"""Source: API reference, PutMetricAlarm, EvaluationPeriods: "cannot exceed one day"."""
SCALING = ("autoscaling",)
"""Services whose ARNs an alarm's actions may name."""
_EDGES = ("INSUFFICIENT_DATA", "OK", "ALARM")

MACHINE = Machine(
    noun=NOUN,
    start="INSUFFICIENT_DATA",
    edges={state: frozenset(_EDGES) - {state} for state in _EDGES},
)

METRIC_ALARM = Resource(
    noun=NOUN, key="AlarmName", arn="alarm:{AlarmName}", status="StateValue", machine=MACHINE
)


@MACHINE.step(*_EDGES)
def look(job: Job, world: World) -> Move:
    """Hold the metric against the threshold."""
    alarm = job.record.document
    verdict = _verdict(alarm, world, job.record)
    period_s = float(alarm["Period"])
    after_s = min(LOOK_S, max(1.0, period_s / 10))
    if verdict.state == job.record.status and not alarm.get("IsSet"):
        return Move(verdict.state, after_s=after_s)
    changes = {
        "StateReason": verdict.reason,
        "StateUpdatedTimestamp": world.clock(),
        "StateTransitionedTimestamp": world.clock(),
        "StateValue": verdict.state,
        "IsSet": False,
    }
    if verdict.state != job.record.status:
        _actions.notify(world, job.record, verdict.state, verdict.reason)
    return Move(verdict.state, changes, after_s=after_s)


def _verdict(alarm: Mapping[str, Any], world: World, record: Record) -> evaluation.Verdict:
    now_ms = epoch_ms(world.clock())
    points = world.store.read(
        metrics.samples,
        record.account,
        record.region,
        alarm["Namespace"],
        alarm["MetricName"],
        {each["Name"]: each["Value"] for each in alarm.get("Dimensions", ())},
        *evaluation.span_ms(alarm, now_ms),
    )
    unit = alarm.get("Unit")
    return evaluation.evaluate(alarm, [each for each in points if unit in {None, each[2]}], now_ms)


def value_of(world: World, record: Record) -> float | None:
    """Return the newest value of an alarm's metric."""
    return _verdict(record.document, world, record).value


def firing(world: World, account: str, region: str, names: Iterable[str]) -> list[str]:
    """Return those of the alarms that are in ALARM, looked at now."""
    found = []
    for name in names:
        record = world.store.read(records.find, account, region, NOUN, name)
        if record is None:
            continue
        is_set = record.document.get("IsSet") and record.status == "ALARM"
        if is_set or _verdict(record.document, world, record).state == "ALARM":
            found.append(name)
    return found


def every(world: World, account: str, region: str) -> list[Record]:
    """Return every alarm of an account and region, by name."""

    def unit(conn: Connection) -> list[Record]:
        found: list[Record] = []
        query = Query(account=account, region=region, noun=NOUN, sort="key", descending=False, limit=1000)
        while True:
            page = listing.page(conn, query)
            found += page.records
            if page.next is None:
                return found
            query = replace(query, after=page.next)

    read: list[Record] = world.store.read(unit)
    return read


@operation("PutMetricAlarm")
def put_metric_alarm(call: Call, request: Mapping[str, Any]) -> None:
    """Create an alarm, or give one of that name other terms; its state begins anew."""
    _check(call, request)
    name = request["AlarmName"]
    arn = str(Arn(service="cloudwatch", region=call.region, account=call.account, resource=f"alarm:{name}"))
    document = {member: value for member, value in request.items() if member != "Tags"}
    document |= {
        "ActionsEnabled": request.get("ActionsEnabled", True),
        "AlarmArn": arn,
        "StateReason": "Unchecked: Initial alarm creation",
        "StateUpdatedTimestamp": call.now,
        "StateTransitionedTimestamp": call.now,
        "AlarmConfigurationUpdatedTimestamp": call.now,
    }
    given = from_tags(request.get("Tags"))

    def unit(conn: Connection) -> None:
        known = records.find(conn, call.account, call.region, NOUN, name)
        record = Record(
            account=call.account,
            region=call.region,
            noun=NOUN,
            key=name,
            arn=arn,
            status=MACHINE.start,
            created=known.created if known else call.now,
            modified=call.now,
            document=document,
        )
        if known:
            records.update(conn, record)
        else:
            records.insert(conn, record)
            tags.put(conn, arn, given)
        work.arm(conn, Work(arn=arn, noun=NOUN, state=MACHINE.start, due=call.now))

    call.write(unit)
    call.world.nudge(arn)


def _check(call: Call, request: Mapping[str, Any]) -> None:
    for member in ("Metrics", "ThresholdMetricId", "EvaluateLowSampleCountPercentile"):
        if request.get(member):
            raise _refused(f"{member}: alarms on metric maths are not served; give MetricName and Namespace.")
    needed = ("MetricName", "Namespace", "Period", "Threshold", "EvaluationPeriods", "ComparisonOperator")
    missing = [member for member in needed if member not in request]
    if missing:
        raise AwsError(f"{missing[0]} is required.", code="MissingParameter")
    if bool(request.get("Statistic")) == bool(request.get("ExtendedStatistic")):
        raise AwsError(
            "Give Statistic or ExtendedStatistic, and not both.", code="InvalidParameterCombination"
        )
    check_statistic(request.get("Statistic") or request["ExtendedStatistic"])
    if request["ComparisonOperator"] not in evaluation.COMPARISONS:
        allowed = ", ".join(evaluation.COMPARISONS)
        raise _refused(f"ComparisonOperator '{request['ComparisonOperator']}' is not served; use {allowed}.")
    period_s = request["Period"]
    if period_s not in SHORT_PERIODS and (period_s % 60 or period_s < 60):
        raise _refused(f"Period must be 1, 5, 10, 20, 30 or a multiple of 60; it is {period_s}.")
    if period_s * request["EvaluationPeriods"] > LONGEST_SPAN_S and period_s < 3600:
        raise _refused(
            f"EvaluationPeriods times Period may be at most {LONGEST_SPAN_S} s; it is "
            f"{period_s * request['EvaluationPeriods']}."
        )
    if request.get("DatapointsToAlarm", 1) > request["EvaluationPeriods"]:
        raise _refused(
            f"DatapointsToAlarm ({request['DatapointsToAlarm']}) must not be larger than EvaluationPeriods "
            f"({request['EvaluationPeriods']})."
        )
    treat = request.get("TreatMissingData", "missing")
    if treat not in {"missing", "ignore", "breaching", "notBreaching"}:
        raise _refused(f"TreatMissingData '{treat}' must be breaching, notBreaching, ignore or missing.")
    _check_actions(call, request)


def _check_actions(call: Call, request: Mapping[str, Any]) -> None:
    for member in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        for arn in request.get(member, ()):
            service = arn.split(":")[2] if arn.startswith("arn:") and arn.count(":") > 1 else ""
            if service == "sns" and has_topic(call, arn):
                continue
            if not (member == "AlarmActions" and service in SCALING):
                raise _refused(
                    f"{member}: '{arn}': an alarm's action may be the ARN of an SNS topic of this account "
                    "or, in AlarmActions, of a scaling policy."
                )


def _refused(text: str) -> AwsError:
    return AwsError(text, code="ValidationError")


@operation("DescribeAlarms")
def describe_alarms(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the alarms, by name."""
    names, prefix = request.get("AlarmNames"), request.get("AlarmNamePrefix", "")
    begin = _place(request.get("NextToken"))
    limit = int(request.get("MaxRecords", PAGE))
    is_wanted = "MetricAlarm" in request.get("AlarmTypes", ("MetricAlarm",))
    found = [
        record
        for record in every(call.world, call.account, call.region)
        if is_wanted
        and (not names or record.key in names)
        and record.key.startswith(prefix)
        and request.get("StateValue") in {None, record.status}
        and _acts(record, request.get("ActionPrefix", ""))
    ]
    shown = [_shown(record) for record in found[begin : begin + limit]]
    answer: dict[str, Any] = {"MetricAlarms": shown, "CompositeAlarms": []}
    return answer | ({"NextToken": tokens.encode(begin + limit)} if begin + limit < len(found) else {})


def _acts(record: Record, prefix: str) -> bool:
    return not prefix or any(arn.startswith(prefix) for arn in record.document.get("AlarmActions", ()))


def _place(token: str | None) -> int:
    try:
        return int(tokens.decode(token, int)) if token else 0
    except ValueError:
        raise AwsError("The value for parameter NextToken is invalid.", code="InvalidNextToken") from None


def _shown(record: Record) -> dict[str, Any]:
    defaults: dict[str, Any] = {"OKActions": [], "AlarmActions": [], "InsufficientDataActions": []}
    return {**defaults, "Dimensions": [], **record.document, "StateValue": record.status}


@operation("DescribeAlarmsForMetric")
def describe_alarms_for_metric(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the alarms on one metric."""
    wanted = _identity(request)
    members = ("Statistic", "ExtendedStatistic", "Period", "Unit")
    found = [
        _shown(record)
        for record in every(call.world, call.account, call.region)
        if _identity(record.document) == wanted
        and all(request.get(each) in {None, record.document.get(each)} for each in members)
    ]
    return {"MetricAlarms": found}


def _identity(metric: Mapping[str, Any]) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    pairs = sorted((each["Name"], each["Value"]) for each in metric.get("Dimensions", ()))
    return metric["Namespace"], metric["MetricName"], tuple(pairs)


@operation("DeleteAlarms")
def delete_alarms(call: Call, request: Mapping[str, Any]) -> None:
    """Delete alarms; all of them, or none where one is missing."""
    found = _all(call, request["AlarmNames"])

    def unit(conn: Connection) -> None:
        for record in found:
            records.delete(conn, record.account, record.region, NOUN, record.key)
            work.drop(conn, record.arn)
            tags.drop(conn, record.arn)

    call.write(unit)


def _all(call: Call, names: Sequence[str]) -> list[Record]:
    found = [call.read(records.find, call.account, call.region, NOUN, name) for name in names]
    for name, record in zip(names, found, strict=True):
        if record is None:
            raise AwsError(f"There is no alarm named '{name}'.", code="ResourceNotFound", status=404)
    return [record for record in found if record is not None]


@operation("SetAlarmState")
def set_alarm_state(call: Call, request: Mapping[str, Any]) -> None:
    """Set the state until the next look at the metric; for tests of what follows from an alarm."""
    (record,) = _all(call, [request["AlarmName"]])

    def change(record: Record) -> Record:
        document = {
            **record.document,
            "StateReason": request["StateReason"],
            "StateUpdatedTimestamp": call.now,
            "StateTransitionedTimestamp": call.now,
            "IsSet": True,
        }
        return replace(record, document=document, status=request["StateValue"], modified=call.now)

    changed = change(record)

    def unit(conn: Connection) -> None:
        records.update(conn, changed)
        # The look that is due would undo it at once; the next one comes after the usual pause.
        due = call.now + timedelta(seconds=LOOK_S)
        work.arm(conn, Work(arn=record.arn, noun=NOUN, state=request["StateValue"], due=due))

    call.write(unit)
    if changed.status != record.status:
        _actions.notify(call.world, record, changed.status, request["StateReason"])


@operation("EnableAlarmActions")
def enable_alarm_actions(call: Call, request: Mapping[str, Any]) -> None:
    """Let alarms act again."""
    _set_actions(call, request["AlarmNames"], is_enabled=True)


@operation("DisableAlarmActions")
def disable_alarm_actions(call: Call, request: Mapping[str, Any]) -> None:
    """Let alarms only tell."""
    _set_actions(call, request["AlarmNames"], is_enabled=False)


def _set_actions(call: Call, names: Sequence[str], *, is_enabled: bool) -> None:
    for record in _all(call, names):
        call.amend(record, lambda one: replace(one, document={**one.document, "ActionsEnabled": is_enabled}))
