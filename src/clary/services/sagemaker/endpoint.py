"""Endpoint: models in service behind a name, and its verbs. Its states are in `_endpoint_machine`."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import SINCE, NotFound, Resource
from clary.resource.families import document_of
from clary.resource.listing import page_of
from clary.resource.operation import operation
from clary.services.sagemaker import _deployment, _tracing
from clary.services.sagemaker import _endpoint_plan as plans
from clary.services.sagemaker._endpoint_machine import MACHINE
from clary.services.sagemaker._endpoint_views import (
    asynchronous,
    capture,
    in_service,
    pending,
    shadows,
    variants,
)
from clary.services.sagemaker._rooms import of_endpoint
from clary.store.records import Record

PAGE = 10
"""Source: ListEndpoints, `MaxResults`: "This value defaults to 10"."""
UPDATABLE = frozenset({"Failed", "UpdateRollbackFailed"})
"""States beside InService from which UpdateEndpoint leads out."""
FIRST_ANSWER_S = 0.8
"""How long a first Describe may wait: the SDKs poll every 30 s, so `InService` must be seen at once."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateEndpoint and freeze its configuration and models for this deployment."""
    target = _plan(call, request["EndpointConfigName"])
    deployment = request.get("DeploymentConfig")
    if deployment:
        _deployment.check(call, deployment, target)
    kept = {"LastDeploymentConfig": deployment} if deployment else {}
    return {"__private__": {"plan": target}, **kept}


def _plan(call: Call, config_name: str) -> dict[str, Any]:
    config = call.find("EndpointConfig", config_name)
    models = {
        variant["ModelName"]: call.find("Model", variant["ModelName"]).document
        for variant in (
            *config.document["ProductionVariants"],
            *config.document.get("ShadowProductionVariants", ()),
        )
        if "ModelName" in variant
    }
    return plans.plan(config.document, models, serial=int(call.now.timestamp() * 1000))


@MACHINE.shows
def shown(private: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the variants in service, where Search finds them."""
    return {"ProductionVariants": in_service(private)}


ENDPOINT = Resource(
    noun="Endpoint",
    arn="endpoint/{EndpointName}",
    status="EndpointStatus",
    machine=MACHINE,
    missing=NotFound.VALIDATION,  # the waiter EndpointDeleted succeeds on this code alone
    missing_text='Could not find endpoint "{arn}".',
    taken="ValidationException",
    taken_text='Cannot create already existing endpoint "{arn}".',
    admit=admit,
    note=_tracing.of_endpoint,
    view={
        "ProductionVariants": variants,
        "ShadowProductionVariants": shadows,
        "PendingDeploymentSummary": pending,
        "DataCaptureConfig": capture,
        "AsyncInferenceConfig": asynchronous,
    },
    kept=frozenset({"ProductionVariants"}),
    filters=SINCE,
)


@operation("ListEndpoints")
def list_endpoints(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one page of the endpoints."""
    page = page_of(call, ENDPOINT, request, limit=PAGE)
    return {"Endpoints": page.items} | ({"NextToken": page.next_token} if page.next_token else {})


@operation("DescribeEndpoint")
def describe_endpoint(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return everything that is known of one; wait a moment for one that is about to be in service."""
    record = call.find("Endpoint", request["EndpointName"])
    deadline = record.modified + timedelta(seconds=FIRST_ANSWER_S)
    while record.status in {"Creating", "Updating"} and call.world.clock() < deadline:
        threading.Event().wait(0.02)
        record = call.find("Endpoint", request["EndpointName"])
    return document_of(ENDPOINT, call, record)


@operation("UpdateEndpoint")
def update_endpoint(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Move an endpoint to another configuration; the old one serves until the new one is healthy."""
    record = call.find("Endpoint", request["EndpointName"])
    excluded = {each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties", ())}
    if excluded and not request.get("RetainAllVariantProperties"):
        raise ValidationException(
            "ExcludeRetainedVariantProperties: needs RetainAllVariantProperties to be true."
        )
    configured = _plan(call, request["EndpointConfigName"])
    deployment = _deployment_of(call, request, record, configured)

    def change(record: Record) -> Record:
        _check_is_still(record, also=UPDATABLE)
        target = configured
        if request.get("RetainAllVariantProperties"):
            target = plans.retain(configured, record.private["plan"], exclude=excluded)
        document = dict(record.document)
        document.pop("FailureReason", None)
        intent = {
            "update": target,
            "config": request["EndpointConfigName"],
            "deployment": deployment,
            "since": call.now.timestamp(),
        }
        private = {**record.private, "intent": intent}
        return replace(record, document=document, private=private, status="Updating", modified=call.now)

    return {"EndpointArn": call.amend(record, change, is_waking=True).arn}


def _deployment_of(
    call: Call, request: Mapping[str, Any], record: Record, target: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the deployment configuration of an update: its own, or the last one where it is retained."""
    deployment: Mapping[str, Any] = request.get("DeploymentConfig") or {}
    if request.get("RetainDeploymentConfig"):
        if deployment:
            raise ValidationException("Give DeploymentConfig or RetainDeploymentConfig, not both.")
        deployment = record.document.get("LastDeploymentConfig") or {}
    if deployment:
        _deployment.check(call, deployment, target)
    return deployment


def _check_is_still(record: Record, *, also: frozenset[str] = frozenset()) -> None:
    if record.status not in {"InService", *also}:
        raise ValidationException(f'Cannot update in-progress endpoint "{record.arn}".')


@operation("UpdateEndpointWeightsAndCapacities")
def update_weights(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change the share of traffic and the number of instances of variants in service."""
    desired = {item["VariantName"]: item for item in request["DesiredWeightsAndCapacities"]}

    def change(record: Record) -> Record:
        _check_is_still(record)
        return resized(record, desired, call.now)

    record = call.find("Endpoint", request["EndpointName"])
    return {"EndpointArn": call.amend(record, change, is_waking=True).arn}


def resized(record: Record, desired: Mapping[str, Mapping[str, Any]], now: datetime) -> Record:
    """Return an endpoint in service as one that is about to have other weights and capacities.

    Raises
    ------
    ValidationException
        A variant is not the endpoint's.
    """
    known = {variant["VariantName"] for variant in record.private["plan"]["variants"]}
    for name in desired:
        if name not in known:
            raise ValidationException(
                f"DesiredWeightsAndCapacities: variant '{name}' is not of this endpoint; "
                f"it has: {', '.join(sorted(known))}"
            )
    for variant in record.private["plan"]["variants"]:
        wanted = desired.get(variant["VariantName"], {})
        other = "DesiredInstanceCount" if "Serverless" in variant else "ServerlessUpdateConfig"
        if other in wanted:
            kind = "serverless" if "Serverless" in variant else "no serverless one"
            raise ValidationException(
                f"DesiredWeightsAndCapacities '{variant['VariantName']}': {other} is not allowed: the "
                f"variant is {kind}."
            )
    target = plans.resized(record.private["plan"], desired)
    intent = {"update": target, "since": now.timestamp()}
    private = {**record.private, "intent": intent}
    return replace(record, private=private, status="Updating", modified=now)


@operation("DeleteEndpoint")
def delete_endpoint(call: Call, request: Mapping[str, Any]) -> None:
    """Take an endpoint out of service; it is gone when its replicas are."""

    def change(record: Record) -> Record:
        if record.status in {"Creating", "Updating", "RollingBack"}:
            raise ValidationException(f'Cannot update in-progress endpoint "{record.arn}".')
        private = {**record.private, "intent": {"delete": True}}
        return replace(record, private=private, status="Deleting", modified=call.now)

    record = call.find("Endpoint", request["EndpointName"])
    inside = [each.key for each in call.read(of_endpoint, record)]
    if inside:
        raise ValidationException(
            f'Cannot delete endpoint "{record.arn}": it has inference components: {", ".join(inside)}. '
            "Delete them first."
        )
    call.amend(record, change, is_waking=True)
