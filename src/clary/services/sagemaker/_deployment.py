"""What a DeploymentConfig must satisfy beyond the model."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.services.sagemaker import _endpoint_plan as plans

MIN_BATCH, MAX_BATCH = 0.05, 0.5
"""Of a rolling update. Source: shape RollingUpdatePolicy, `MaximumBatchSize`."""
MIN_LINEAR, MAX_PART = 0.1, 0.5
"""Of linear steps and canaries. Source: shape TrafficRoutingConfig."""


def check(call: Call, deployment: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    """Refuse a deployment configuration that contradicts itself or names alarms that are not there.

    Raises
    ------
    ValidationException
        Names the member, its value and what is allowed.
    """
    blue_green, rolling = deployment.get("BlueGreenUpdatePolicy"), deployment.get("RollingUpdatePolicy")
    if blue_green and rolling:
        raise ValidationException(
            "DeploymentConfig: give BlueGreenUpdatePolicy or RollingUpdatePolicy, not both."
        )
    n = plans.largest(target)
    if blue_green:
        _check_routing(blue_green["TrafficRoutingConfiguration"], n)
        _check_limit(deployment, blue_green, n)
    if rolling:
        _check_size(
            "RollingUpdatePolicy.MaximumBatchSize", rolling["MaximumBatchSize"], n, MIN_BATCH, MAX_BATCH
        )
        _check_limit(deployment, rolling, n)
    for alarm in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", ()):
        name = alarm.get("AlarmName", "")
        if call.seek("MetricAlarm", name) is None:
            raise ValidationException(
                f"AutoRollbackConfiguration.Alarms: there is no CloudWatch alarm '{name}' in {call.region}."
            )


def _check_routing(routing: Mapping[str, Any], n: int) -> None:
    kind = routing["Type"]
    sizes = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}
    for other, member in sizes.items():
        if (member in routing) != (kind == other):
            verb = "needs" if kind == other else "has no"
            raise ValidationException(f"TrafficRoutingConfiguration: Type {kind} {verb} {member}.")
    if kind in sizes:
        least = MIN_LINEAR if kind == "LINEAR" else 0.0
        _check_size(f"TrafficRoutingConfiguration.{sizes[kind]}", routing[sizes[kind]], n, least, MAX_PART)


def _check_size(path: str, size: Mapping[str, Any], n: int, least: float, most: float) -> None:
    part = plans.share(size, n)
    is_smallest = (
        size["Type"] in {"INSTANCE_COUNT", "COPY_COUNT"} and size["Value"] == 1
    )  # of one instance there is no half
    if not least - 1e-9 <= part <= most + 1e-9 and not is_smallest:
        raise ValidationException(
            f"{path}: {size['Value']} ({size['Type']}) is {part:.0%} of {n} instances; it must be "
            f"{least:.0%} to {most:.0%}."
        )


def _check_limit(deployment: Mapping[str, Any], policy: Mapping[str, Any], n: int) -> None:
    limit = policy.get("MaximumExecutionTimeoutInSeconds")
    waits = sum(stage.bake_s for stage in plans.stages(deployment, n))
    waits += policy.get("TerminationWaitInSeconds", 0)
    if limit is not None and limit <= waits:
        raise ValidationException(
            f"MaximumExecutionTimeoutInSeconds: {limit} must be larger than the waits of the deployment "
            f"together, which are {waits:.0f} s."
        )
