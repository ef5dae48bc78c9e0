"""What one policy wants of a target now: its metric read, its cooldown heeded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clary.engine.world import World
from clary.kernel.clock import epoch_ms
from clary.services.cloudwatch import alarm
from clary.services.cloudwatch.metric import statistic
from clary.serving import components
from clary.serving.scaling import tracking
from clary.serving.scaling.usage import Key, Usage
from clary.store import metrics
from clary.store.records import Record

if TYPE_CHECKING:
    from clary.services.application_autoscaling._target_machine import Look

GROW_WINDOW_S = 10.0
"""Over which the load is measured before the fleet grows. AWS takes three minutes."""
SHRINK_WINDOW_S = 60.0
"""Before it shrinks, or as long as `ScaleInCooldown` where that is shorter. AWS takes fifteen minutes."""
COOLDOWN_S = 300
"""Source: API reference, TargetTrackingScalingPolicyConfiguration: 300 for SageMaker's variants."""
PER_INSTANCE = "SageMakerVariantInvocationsPerInstance"
CONCURRENT = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
PER_COPY = "SageMakerInferenceComponentInvocationsPerCopy"
CONCURRENT_COPY = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"
PREDEFINED = (PER_INSTANCE, CONCURRENT, PER_COPY, CONCURRENT_COPY)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a policy wants."""

    wanted: int
    least: int
    """The fleet shrinks no further while this policy holds."""
    cause: str
    may_shrink: bool = True


def of_policy(world: World, here: "Look", policy: Record) -> Demand | None:
    """Return what a policy wants; None where its metric says nothing."""
    if policy.document["PolicyType"] == "StepScaling":
        return _by_steps(world, here, policy)
    return _by_target(world, here, policy)


def _since(here: "Look", name: str) -> float:
    moment = here.memory.get(name)
    return float("inf") if moment is None else here.now_s - float(moment)


def _by_target(world: World, here: "Look", policy: Record) -> Demand | None:
    terms = policy.document["TargetTrackingScalingPolicyConfiguration"]
    target = float(terms["TargetValue"])
    out_s, in_s = terms.get("ScaleOutCooldown", COOLDOWN_S), terms.get("ScaleInCooldown", COOLDOWN_S)
    if "PredefinedMetricSpecification" in terms:
        kind = terms["PredefinedMetricSpecification"]["PredefinedMetricType"]
        grown, _ = tracking.by_load(_load(world, here, kind, GROW_WINDOW_S), target)
        window_s = min(SHRINK_WINDOW_S, max(GROW_WINDOW_S, float(in_s)))
        _, shrunk = tracking.by_load(_load(world, here, kind, window_s), target)
    else:
        kind = terms["CustomizedMetricSpecification"]["MetricName"]
        value = _value(world, here, terms["CustomizedMetricSpecification"])
        if value is None:
            return None
        # What grew within the cooldown has not told in the metric yet: it counts as part of what is wanted.
        is_cooling = _since(here, "last_out") < out_s
        base = int(here.memory.get("base", here.current)) if is_cooling else here.current
        grown, shrunk = tracking.by_value(value, target, base)
    wanted = grown if grown > here.current else min(here.current, max(grown, shrunk))
    is_rested = _since(here, "last_in") >= in_s and _since(here, "last_out") >= in_s
    has_history = here.now_s - policy.created.timestamp() >= min(SHRINK_WINDOW_S, max(GROW_WINDOW_S, in_s))
    return Demand(
        wanted=wanted,
        least=0 if terms.get("DisableScaleIn") else min(here.current, shrunk),
        cause=f"target tracking policy {policy.document['PolicyName']}: {kind} against its target {target:g}",
        may_shrink=is_rested and has_history and not terms.get("DisableScaleIn"),
    )


def _load(world: World, here: "Look", kind: str, window_s: float) -> float:
    """Return the load of all instances together, as the predefined metric measures it for one."""
    usage: Usage = world.extras["usage"]
    place = here.endpoint.key
    if here.endpoint.noun == "InferenceComponent":
        place = components.place_of(place)
    key = Key(here.target.account, here.target.region, place, here.variant["VariantName"])
    counts = usage.counted(key, here.now_s, window_s)
    if kind in {CONCURRENT, CONCURRENT_COPY}:
        return counts.model_s / window_s  # Little's law: what is in flight is arrivals times duration
    return counts.n * 60.0 / window_s


def _value(world: World, here: "Look", terms: Mapping[str, Any]) -> float | None:
    """Return a customised metric's value over the last minute that has one."""
    now_ms = epoch_ms(world.clock())
    found = world.store.read(
        metrics.samples,
        here.target.account,
        here.target.region,
        terms["Namespace"],
        terms["MetricName"],
        {each["Name"]: each["Value"] for each in terms.get("Dimensions", ())},
        now_ms - int(SHRINK_WINDOW_S * 1000),
        now_ms + 1,
    )
    unit = terms.get("Unit")
    pairs = [(value, n) for _ms, value, its_unit, n in found if unit in {None, its_unit}]
    return statistic(terms["Statistic"], pairs) if pairs else None


def _by_steps(world: World, here: "Look", policy: Record) -> Demand | None:
    """Return what a step policy wants while an alarm that names it is on."""
    terms = policy.document["StepScalingPolicyConfiguration"]
    for record in alarm.every(world, policy.account, policy.region):
        terms_of_alarm = record.document
        if (
            record.status != "ALARM"
            or policy.arn not in terms_of_alarm.get("AlarmActions", ())
            or not terms_of_alarm.get("ActionsEnabled", True)
        ):
            continue
        value = alarm.value_of(world, record)
        threshold = float(terms_of_alarm["Threshold"])
        is_upward = terms_of_alarm["ComparisonOperator"].startswith("Greater")
        # In the cooldown, what this policy added already counts as part of the next step.
        base = here.current
        cooldown_s = terms.get("Cooldown", COOLDOWN_S)
        mark = here.memory.get(f"step:{policy.key}")
        is_cooling = mark is not None and here.now_s - mark["at"] < cooldown_s
        if is_cooling and mark is not None:
            base = int(mark["from"])
        deviation = (threshold if value is None else value) - threshold
        wanted = tracking.by_step(base, deviation, terms, is_upward=is_upward)
        if wanted is None:
            continue
        wanted = here.bounded(wanted)
        if wanted == here.current or (is_cooling and wanted < here.current):
            return None
        if not is_cooling:
            here.memory[f"step:{policy.key}"] = {"at": here.now_s, "from": here.current}
        name = policy.document["PolicyName"]
        cause = f"monitor alarm {record.key} in state ALARM triggered policy {name}"
        return Demand(wanted=wanted, least=0, cause=cause)
    return None
