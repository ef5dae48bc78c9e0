"""What an endpoint is to run, frozen: its variants, and the stages by which an update brings them in.

Pure arithmetic over documents; `_fleet` launches what it says, `_endpoint_machine` goes through the stages.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clary.compute.containers import DIRECT
from clary.kernel.errors import ValidationException
from clary.services.sagemaker.model import containers_of, runtime_of

SERVERLESS = "serverless"
"""Stands for the instance type of variants that have none."""
ROLLOUT_S = 28_800
"""Longest deployment where the request names no limit. Source: shape MaximumExecutionTimeoutInSeconds."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a deployment: it ends when the new instances are healthy and the bake is over."""

    traffic: float
    """Share of the requests that goes to the new fleet."""
    new: float
    """Share of the new fleet that must be healthy before."""
    old: float
    """Share of the old fleet that stays after the bake."""
    bake_s: float
    """How long alarms are watched before the next stage."""


AT_ONCE = (Stage(traffic=1.0, new=1.0, old=0.0, bake_s=0.0),)


def plan(
    config: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]], *, serial: int
) -> dict[str, Any]:
    """Freeze a configuration and its models: later changes of either touch no running endpoint."""
    return {
        "variants": [
            *(
                _variant(config, each, models[each["ModelName"]], serial)
                if "ModelName" in each
                else _room(each)
                for each in config["ProductionVariants"]
            ),
            *(
                {**_variant(config, each, models[each["ModelName"]], serial), "Shadow": True}
                for each in config.get("ShadowProductionVariants", ())
            ),
        ],
        "capture": config.get("DataCaptureConfig") or {},
        "asynchronous": config.get("AsyncInferenceConfig") or {},
    }


def _variant(
    config: Mapping[str, Any], variant: Mapping[str, Any], model: Mapping[str, Any], serial: int
) -> dict[str, Any]:
    container = containers_of(model)[0]
    return {
        "VariantName": variant["VariantName"],
        "ModelName": variant["ModelName"],
        "Image": container["Image"],
        "Container": container,
        "RoleArn": model.get("ExecutionRoleArn", ""),
        "EnableNetworkIsolation": model.get("EnableNetworkIsolation", False),
        "Weight": variant["InitialVariantWeight"],
        "InstanceType": variant.get("InstanceType", SERVERLESS),
        "InstanceCount": variant["InitialInstanceCount"],
        "StartupTimeout": variant.get("ContainerStartupHealthCheckTimeoutInSeconds", 600),
        "DownloadTimeout": variant.get("ModelDataDownloadTimeoutInSeconds", 120),
        "Runtime": asdict(runtime_of(container, model.get("ExecutionRoleArn", ""))),
        **_several(config, variant, model),
        "Serial": serial,
        **({"Routing": variant["RoutingConfig"]["RoutingStrategy"]} if "RoutingConfig" in variant else {}),
        **({"Serverless": variant["ServerlessConfig"]} if "ServerlessConfig" in variant else {}),
        **({"Accelerator": variant["AcceleratorType"]} if variant.get("AcceleratorType") else {}),
    }


def _room(variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return a variant that is room for inference components: its instances run nothing themselves."""
    return {
        "VariantName": variant["VariantName"],
        "Room": True,
        "Image": "",
        "Container": {},
        "Weight": variant["InitialVariantWeight"],
        "InstanceType": variant["InstanceType"],
        "InstanceCount": variant["InitialInstanceCount"],
        "StartupTimeout": 0,
        "Serial": 0,
        **{name: variant[name] for name in ("ManagedInstanceScaling", "RoutingConfig") if name in variant},
    }


def _several(
    config: Mapping[str, Any], variant: Mapping[str, Any], model: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a variant has whose model has several containers."""
    containers = containers_of(model)
    if len(containers) == 1:
        return {}
    is_direct = model.get("InferenceExecutionConfig", {}).get("Mode") == DIRECT
    if is_direct and (config.get("AsyncInferenceConfig") or config.get("ShadowProductionVariants")):
        member = "AsyncInferenceConfig" if config.get("AsyncInferenceConfig") else "ShadowProductionVariants"
        raise ValidationException(
            f"{member}: nobody names a container there, and the InferenceExecutionConfig.Mode of model "
            f"'{variant['ModelName']}' is Direct; it must be Serial."
        )
    return {
        "Images": [each["Image"] for each in containers],
        "Containers": containers,
        "Runtimes": [asdict(runtime_of(each, model.get("ExecutionRoleArn", ""))) for each in containers],
        "ExecutionMode": DIRECT if is_direct else "Serial",
    }


def retain(
    target: Mapping[str, Any], running: Mapping[str, Any], *, exclude: Collection[str] = ()
) -> dict[str, Any]:
    """Return a plan whose variants keep the running ones' numbers of instances and weights, by name.

    Parameters
    ----------
    exclude : collection of str
        Properties to take from the new configuration after all: `DesiredInstanceCount`, `DesiredWeight`,
        `DataCaptureConfig`.
    """
    kept = {
        member
        for member, name in (("InstanceCount", "DesiredInstanceCount"), ("Weight", "DesiredWeight"))
        if name not in exclude
    }
    known = {variant["VariantName"]: variant for variant in running["variants"]}
    variants = []
    for variant in target["variants"]:
        same = known.get(variant["VariantName"], variant)
        variants.append({**variant, **{member: same[member] for member in kept}})
    kept_capture = {} if "DataCaptureConfig" in exclude else {"capture": running.get("capture", {})}
    return {**target, **kept_capture, "variants": variants}


def resized(target: Mapping[str, Any], desired: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a plan with other weights and numbers of instances; replicas that stay keep running.

    Parameters
    ----------
    desired : mapping
        By variant: `DesiredWeight`, `DesiredInstanceCount`, `ServerlessUpdateConfig`.
    """
    variants = []
    for variant in target["variants"]:
        wanted = desired.get(variant["VariantName"], {})
        variants.append(
            {
                **variant,
                "Weight": wanted.get("DesiredWeight", variant["Weight"]),
                "InstanceCount": wanted.get("DesiredInstanceCount", variant["InstanceCount"]),
                **_other_terms(variant, wanted),
            }
        )
    return {**target, "variants": variants}


def _other_terms(variant: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    if "ServerlessUpdateConfig" not in wanted:
        return {}
    return {"Serverless": {**variant["Serverless"], **wanted["ServerlessUpdateConfig"]}}


def stages(deployment: Mapping[str, Any], n_instances: int) -> tuple[Stage, ...]:
    """Return the stages of a deployment to a fleet whose largest variant has so many instances.

    Source: developer guide, "Deployment guardrails for updating models in production".
    """
    rolling = deployment.get("RollingUpdatePolicy")
    if rolling is not None:
        step, bake_s = share(rolling["MaximumBatchSize"], n_instances), rolling["WaitIntervalInSeconds"]
        return tuple(Stage(done, done, 1.0 - done, bake_s) for done in _steps(step))
    policy = deployment.get("BlueGreenUpdatePolicy")
    if policy is None:
        return AT_ONCE
    routing = policy["TrafficRoutingConfiguration"]
    bake_s = routing["WaitIntervalInSeconds"]
    match routing["Type"]:
        case "CANARY":
            parts: Sequence[float] = (share(routing["CanarySize"], n_instances), 1.0)
        case "LINEAR":
            parts = _steps(share(routing["LinearStepSize"], n_instances))
        case _:
            parts = (1.0,)
    return tuple(Stage(part, 1.0, 1.0 if part < 1.0 else 0.0, bake_s) for part in parts)


def share(size: Mapping[str, Any], n_instances: int) -> float:
    """Return a `CapacitySize` as a share of a fleet."""
    if size["Type"] == "CAPACITY_PERCENT":
        return min(1.0, float(size["Value"]) / 100)
    return min(1.0, float(size["Value"]) / max(1, n_instances))


def largest(target: Mapping[str, Any]) -> int:
    """Return the number of instances of a plan's largest variant."""
    return max((variant["InstanceCount"] for variant in target["variants"]), default=0)


def limit_s(deployment: Mapping[str, Any]) -> float:
    """Return how long the deployment may take in all."""
    policy = deployment.get("BlueGreenUpdatePolicy") or deployment.get("RollingUpdatePolicy") or {}
    return float(policy.get("MaximumExecutionTimeoutInSeconds", ROLLOUT_S))


def _mirror(shadow: Mapping[str, Any], fleet: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what edges must know to mirror requests: a shadow gets its weight's share of the production's.

    Source: developer guide, "Shadow tests": weights of shadow and production variant give the percentage.
    """
    total = sum(variant["Weight"] for variant in fleet) or 1.0
    share = min(1.0, shadow["Weight"] / total)
    return {"shadow": {"name": shadow["VariantName"], "share": share, "replicas": shadow["Replicas"]}}


def captured(target: Mapping[str, Any], spool: str) -> dict[str, Any]:
    """Return what edges must know to capture a plan's invocations; empty where they are not captured."""
    terms = target.get("capture") or {}
    if not terms or not terms.get("EnableCapture", True):
        return {}
    types = terms.get("CaptureContentTypeHeader", {})
    modes = {each["CaptureMode"] for each in terms["CaptureOptions"]}
    both = {"Input", "Output"} if "InputAndOutput" in modes else modes
    return {
        "percent": terms["InitialSamplingPercentage"],
        "modes": sorted(both),
        "csv": [each.lower() for each in types.get("CsvContentTypes", ())],
        "json": [each.lower() for each in types.get("JsonContentTypes", ())],
        "uri": terms["DestinationS3Uri"],
        "spool": spool,
    }


def asynchronous(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return what edges must know of a plan's asynchronous invocations; empty where they are none."""
    terms = target.get("asynchronous")
    if not terms:
        return {}
    output, client = terms["OutputConfig"], terms.get("ClientConfig", {})
    most = client.get("MaxConcurrentInvocationsPerInstance")
    return {
        "output": output["S3OutputPath"],
        "failure": output.get("S3FailurePath", ""),
        **({"most": most} if most else {}),
        **({"notify": output["NotificationConfig"]} if output.get("NotificationConfig") else {}),
    }


def _steps(step: float) -> list[float]:
    n = math.ceil(1.0 / step - 1e-9)
    return [min(1.0, step * (k + 1)) for k in range(n - 1)] + [1.0]


def mixed(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], traffic: float
) -> list[dict[str, Any]]:
    """Return the variants of a route that sends `traffic` of the requests to the new fleet.

    Both fleets may have a variant of one name: edges draw among entries, so it then stands twice.
    """
    entries = []
    for whole, part in ((old, 1.0 - traffic), (new, traffic)):
        fleet = [variant for variant in whole if not variant.get("Shadow")]
        mirror = next((_mirror(each, fleet) for each in whole if each.get("Shadow")), {})
        total = sum(variant["Weight"] for variant in fleet) or 1.0
        entries += [
            {
                "name": variant["VariantName"],
                "weight": variant["Weight"] if traffic in {0.0, 1.0} else variant["Weight"] * part / total,
                "replicas": variant["Replicas"],
                **({"resting": variant["Resting"]} if variant.get("Resting") else {}),
                **variant.get("Route", {}),
                **mirror,
            }
            for variant in fleet
            if part > 0
        ]
    return entries
