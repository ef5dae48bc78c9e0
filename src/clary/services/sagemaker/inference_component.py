"""InferenceComponent: copies of a model on the instances of an endpoint that several models share."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import SINCE, NotFound, Resource
from clary.resource.operation import operation
from clary.services.sagemaker import _deployment
from clary.services.sagemaker import _endpoint_plan as plans
from clary.services.sagemaker._component_machine import MACHINE
from clary.services.sagemaker._rooms import NOUN, room_of
from clary.services.sagemaker.model import runtime_of
from clary.store.records import Record

NOT_SERVED = ("BaseInferenceComponentName", "DataCacheConfig", "InstanceType")
"""Members of a specification whose behaviour does not exist yet."""
WHILE = frozenset({"Creating", "InService", "Updating"})
"""States of an endpoint to which components may be added."""
_NEEDS = {
    "MinMemoryRequiredInMb": "memory_mib",
    "NumberOfCpuCoresRequired": "cpus",
    "NumberOfAcceleratorDevicesRequired": "gpus",
}


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateInferenceComponent beyond the model, and freeze what it is to run."""
    if request.get("Specifications"):
        raise ValidationException("Specifications is not served yet; give Specification.")
    if "Specification" not in request:
        raise ValidationException("Specification is required.")
    endpoint = call.find("Endpoint", request["EndpointName"])
    if endpoint.status not in WHILE:
        raise ValidationException(
            f'Cannot add an inference component to endpoint "{endpoint.arn}": it is {endpoint.status}.'
        )
    variant = _variant_of(endpoint, request.get("VariantName", ""))
    n_copies = request.get("RuntimeConfig", {}).get("CopyCount", 1)
    target = _plan(call, endpoint, variant, request["Specification"], n_copies)
    return {
        "VariantName": variant,
        "EndpointArn": endpoint.arn,
        "__private__": {"plan": target},
    }


def _variant_of(endpoint: Record, asked: str) -> str:
    rooms = [each["VariantName"] for each in endpoint.private["plan"]["variants"] if each.get("Room")]
    if not rooms:
        raise ValidationException(
            f"EndpointName: the variants of '{endpoint.key}' have models of their own; inference components "
            "need a variant without ModelName."
        )
    if asked and asked not in rooms:
        raise ValidationException(
            f"VariantName '{asked}' is none of endpoint '{endpoint.key}' that takes inference components; "
            f"those are: {', '.join(rooms)}."
        )
    if not asked and len(rooms) > 1:
        raise ValidationException(
            f"VariantName is required: endpoint '{endpoint.key}' has {', '.join(rooms)}."
        )
    return asked or rooms[0]


def _plan(
    call: Call, endpoint: Record, variant: str, spec: Mapping[str, Any], n_copies: int
) -> dict[str, Any]:
    """Freeze a specification, in the form of an endpoint's plan with one variant."""
    _check(spec)
    config = call.seek("EndpointConfig", endpoint.document["EndpointConfigName"])
    if "ModelName" in spec:
        model = call.find("Model", spec["ModelName"]).document
    else:
        model = _model(spec["Container"], config.document if config is not None else {})
    needs = spec["ComputeResourceRequirements"]
    need = {name: needs[member] for member, name in _NEEDS.items() if member in needs}
    room = room_of(endpoint, variant)
    assert room is not None
    startup = spec.get("StartupParameters", {})
    one = {
        "VariantName": variant,
        "ModelName": spec.get("ModelName", ""),
        "InitialVariantWeight": 1.0,
        "InitialInstanceCount": n_copies,
        "InstanceType": room["InstanceType"],
        **startup,
        **({"RoutingConfig": room["RoutingConfig"]} if "RoutingConfig" in room else {}),
    }
    plan = plans.plan(
        {"ProductionVariants": [one]}, {one["ModelName"]: model}, serial=int(call.now.timestamp() * 1000)
    )
    plan["variants"][0] |= {
        "Need": need,
        "Size": {
            "cpus": max(1, math.ceil(need.get("cpus", 1))),
            "memory_mib": needs.get("MaxMemoryRequiredInMb", needs["MinMemoryRequiredInMb"]),
            "gpus": math.ceil(need.get("gpus", 0)),
        },
        "Spreads": spec.get("SchedulingConfig", {}).get("PlacementStrategy") == "SPREAD",
    }
    return plan | {"specification": spec}


def _check(spec: Mapping[str, Any]) -> None:
    for member in NOT_SERVED:
        if spec.get(member):
            raise ValidationException(f"Specification.{member} is not served yet; leave it out.")
    if spec.get("SchedulingConfig", {}).get("AvailabilityZoneBalance"):
        raise ValidationException(
            "SchedulingConfig.AvailabilityZoneBalance is not served: there is one zone."
        )
    if ("ModelName" in spec) == ("Container" in spec):
        raise ValidationException("Specification: give ModelName or Container, and not both.")
    if spec.get("Container", {}).get("ContainerMetricsConfig"):
        raise ValidationException("Container.ContainerMetricsConfig is not served yet; leave it out.")
    needs = spec.get("ComputeResourceRequirements")
    if needs is None:
        raise ValidationException("Specification.ComputeResourceRequirements is required.")
    if needs.get("AcceleratorPartitionType"):
        raise ValidationException("AcceleratorPartitionType is not served yet; leave it out.")
    least, most = needs["MinMemoryRequiredInMb"], needs.get("MaxMemoryRequiredInMb")
    if most is not None and most < least:
        raise ValidationException(
            f"ComputeResourceRequirements: MaxMemoryRequiredInMb ({most}) must not be smaller than "
            f"MinMemoryRequiredInMb ({least})."
        )


def _model(container: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model that a specification's container stands for."""
    made: dict[str, Any] = {
        "Image": container.get("Image", ""),
        "Environment": container.get("Environment", {}),
    }
    if "ArtifactUrl" in container:
        made["ModelDataUrl"] = container["ArtifactUrl"]
    runtime_of(made, config.get("ExecutionRoleArn", ""))
    return {"PrimaryContainer": made, "ExecutionRoleArn": config.get("ExecutionRoleArn", "")}


def specification(_call: Call, record: Record) -> dict[str, Any]:
    """Return what runs, or is to run, as DescribeInferenceComponent shows it."""
    plan = record.private.get("intent", {}).get("update") or record.private["plan"]
    spec = dict(plan["specification"])
    if "Container" in spec:
        image = spec["Container"].get("Image", "")
        shown = {name: value for name, value in spec["Container"].items() if name != "Image"}
        spec["Container"] = {"DeployedImage": {"SpecifiedImage": image, "ResolvedImage": image}, **shown}
    return spec


def runtime(_call: Call, record: Record) -> dict[str, int]:
    """Return how many copies there are, and should be."""
    plan = record.private.get("intent", {}).get("update") or record.private["plan"]
    served = record.private.get("served") or ({"Replicas": ()},)
    return {
        "DesiredCopyCount": plan["variants"][0]["InstanceCount"],
        "CurrentCopyCount": len(served[0]["Replicas"]),
    }


INFERENCE_COMPONENT = Resource(
    noun=NOUN,
    arn="inference-component/{InferenceComponentName}",
    status="InferenceComponentStatus",
    machine=MACHINE,
    missing=NotFound.VALIDATION,
    missing_text='Could not find inference component "{arn}".',
    taken="ValidationException",
    taken_text='Cannot create already existing inference component "{arn}".',
    admit=admit,
    view={"Specification": specification, "RuntimeConfig": runtime},
    filters=SINCE,
)


@operation("UpdateInferenceComponent")
def update_inference_component(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bring in copies of another specification, or another number of them; the old ones serve meanwhile."""
    if request.get("Specifications"):
        raise ValidationException("Specifications is not served yet; give Specification.")
    record = call.find(NOUN, request["InferenceComponentName"])
    target = dict(record.private["plan"])
    if "Specification" in request:
        endpoint = call.find("Endpoint", record.document["EndpointName"])
        n_copies = target["variants"][0]["InstanceCount"]
        target = _plan(call, endpoint, record.document["VariantName"], request["Specification"], n_copies)
    if "RuntimeConfig" in request:
        target = _copied(target, request["RuntimeConfig"]["CopyCount"])
    deployment = request.get("DeploymentConfig") or {}
    if deployment:
        _deployment.check(call, deployment, target)

    def change(record: Record) -> Record:
        return _updating(record, target, call.now, deployment)

    return {"InferenceComponentArn": call.amend(record, change, is_waking=True).arn}


@operation("UpdateInferenceComponentRuntimeConfig")
def update_runtime_config(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change the number of copies."""
    n_copies = request["DesiredRuntimeConfig"]["CopyCount"]

    def change(record: Record) -> Record:
        return resized(record, n_copies, call.now)

    record = call.find(NOUN, request["InferenceComponentName"])
    return {"InferenceComponentArn": call.amend(record, change, is_waking=True).arn}


def _copied(target: Mapping[str, Any], n_copies: int) -> dict[str, Any]:
    return {**target, "variants": [{**target["variants"][0], "InstanceCount": n_copies}]}


def resized(record: Record, n_copies: int, now: datetime) -> Record:
    """Return a component in service as one that is about to have another number of copies."""
    return _updating(record, _copied(record.private["plan"], n_copies), now)


def _updating(
    record: Record, target: Mapping[str, Any], now: datetime, deployment: Mapping[str, Any] | None = None
) -> Record:
    if record.status not in {"InService", "Failed"}:
        raise ValidationException(f'Cannot update in-progress inference component "{record.arn}".')
    document = dict(record.document)
    document.pop("FailureReason", None)
    intent = {"update": target, "since": now.timestamp(), "deployment": deployment or {}}
    private = {**record.private, "intent": intent}
    return replace(record, document=document, private=private, status="Updating", modified=now)


@operation("DeleteInferenceComponent")
def delete_inference_component(call: Call, request: Mapping[str, Any]) -> None:
    """Take a component out of service; it is gone when its copies are."""

    def change(record: Record) -> Record:
        private = {**record.private, "intent": {"delete": True}}
        return replace(record, private=private, status="Deleting", modified=call.now)

    call.amend(call.find(NOUN, request["InferenceComponentName"]), change, is_waking=True)
