"""Endpoint: models in service behind a name, and its verbs. Its states are in `_endpoint_machine`."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import SINCE, NotFound, Resource
from clary.resource.families import document_of
from clary.resource.listing import page_of
from clary.resource.operation import operation
from clary.services.sagemaker._endpoint_machine import MACHINE, plan
from clary.store.records import Record

PAGE = 10
"""Source: ListEndpoints, `MaxResults`: "This value defaults to 10"."""
FIRST_ANSWER_S = 0.8
"""How long a first Describe may wait: the SDKs poll every 30 s, so `InService` must be seen at once."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateEndpoint and freeze its configuration and models for this deployment."""
    if request.get("DeploymentConfig"):
        _check_deployment(request["DeploymentConfig"])
    return {"__private__": {"plan": _plan(call, request["EndpointConfigName"])}}


def _plan(call: Call, config_name: str) -> dict[str, Any]:
    config = call.find("EndpointConfig", config_name)
    models = {
        variant["ModelName"]: call.find("Model", variant["ModelName"]).document
        for variant in config.document["ProductionVariants"]
    }
    return plan(config.document, models, serial=int(call.now.timestamp() * 1000))


def _check_deployment(config: Mapping[str, Any]) -> None:
    for member in config:
        raise ValidationException(
            f"DeploymentConfig.{member} is not served yet: an update replaces all instances once the new "
            "ones are healthy."
        )


@MACHINE.shows
def shown(private: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the variants in service, as Describe shows them and Search finds them."""
    return {
        "ProductionVariants": [
            {
                "VariantName": variant["VariantName"],
                "DeployedImages": [{"SpecifiedImage": variant["Image"], "ResolvedImage": variant["Image"]}],
                "CurrentWeight": variant["Weight"],
                "DesiredWeight": variant["Weight"],
                "CurrentInstanceCount": len(variant["Replicas"]),
                "DesiredInstanceCount": variant["InstanceCount"],
            }
            for variant in private.get("served", ())
        ]
    }


def variants(_call: Call, record: Record) -> list[dict[str, Any]]:
    """Return the variants in service, as DescribeEndpoint shows them."""
    found: list[dict[str, Any]] = shown(record.private)["ProductionVariants"]
    return found


def pending(_call: Call, record: Record) -> dict[str, Any] | None:
    """Return the deployment in progress, as DescribeEndpoint shows it; None where there is none."""
    intent = record.private.get("intent", {})
    target = intent.get("update") if record.status == "Updating" else record.private.get("plan")
    if record.status not in {"Creating", "Updating"} or target is None:
        return None
    serving = {variant["VariantName"]: variant for variant in record.private.get("served", ())}
    return {
        "EndpointConfigName": intent.get("config", record.document["EndpointConfigName"]),
        "StartTime": record.modified,
        "ProductionVariants": [
            {
                "VariantName": variant["VariantName"],
                "DeployedImages": [{"SpecifiedImage": variant["Image"], "ResolvedImage": variant["Image"]}],
                "CurrentWeight": serving.get(variant["VariantName"], {}).get("Weight", 0.0),
                "DesiredWeight": variant["Weight"],
                "CurrentInstanceCount": len(serving.get(variant["VariantName"], {}).get("Replicas", ())),
                "DesiredInstanceCount": variant["InstanceCount"],
                "InstanceType": variant["InstanceType"],
            }
            for variant in target["variants"]
        ],
    }


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
    view={"ProductionVariants": variants, "PendingDeploymentSummary": pending},
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
    for member in ("DeploymentConfig", "RetainAllVariantProperties", "ExcludeRetainedVariantProperties"):
        if request.get(member):
            raise ValidationException(f"{member} is not served yet; leave it out.")
    record = call.find("Endpoint", request["EndpointName"])
    target = _plan(call, request["EndpointConfigName"])

    def change(record: Record) -> Record:
        if record.status not in {"InService", "Failed"}:
            raise ValidationException(f'Cannot update in-progress endpoint "{record.arn}".')
        document = dict(record.document)
        document.pop("FailureReason", None)
        intent = {"update": target, "config": request["EndpointConfigName"]}
        private = {**record.private, "intent": intent}
        return replace(record, document=document, private=private, status="Updating", modified=call.now)

    return {"EndpointArn": call.amend(record, change, is_waking=True).arn}


@operation("UpdateEndpointWeightsAndCapacities")
def update_weights(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change the share of traffic and the number of instances of variants in service."""
    desired = {item["VariantName"]: item for item in request["DesiredWeightsAndCapacities"]}

    def change(record: Record) -> Record:
        if record.status != "InService":
            raise ValidationException(f'Cannot update in-progress endpoint "{record.arn}".')
        target = {**record.private["plan"], "serial": int(call.now.timestamp() * 1000)}
        known = {variant["VariantName"] for variant in target["variants"]}
        for name in desired:
            if name not in known:
                raise ValidationException(
                    f"DesiredWeightsAndCapacities: variant '{name}' is not of this endpoint; "
                    f"it has: {', '.join(sorted(known))}"
                )
        target["variants"] = [
            {
                **variant,
                "Weight": desired.get(variant["VariantName"], {}).get("DesiredWeight", variant["Weight"]),
                "InstanceCount": desired.get(variant["VariantName"], {}).get(
                    "DesiredInstanceCount", variant["InstanceCount"]
                ),
            }
            for variant in target["variants"]
        ]
        private = {**record.private, "intent": {"update": target}}
        return replace(record, private=private, status="Updating", modified=call.now)

    record = call.find("Endpoint", request["EndpointName"])
    return {"EndpointArn": call.amend(record, change, is_waking=True).arn}


@operation("DeleteEndpoint")
def delete_endpoint(call: Call, request: Mapping[str, Any]) -> None:
    """Take an endpoint out of service; it is gone when its replicas are."""

    def change(record: Record) -> Record:
        if record.status in {"Creating", "Updating"}:
            raise ValidationException(f'Cannot update in-progress endpoint "{record.arn}".')
        private = {**record.private, "intent": {"delete": True}}
        return replace(record, private=private, status="Deleting", modified=call.now)

    call.amend(call.find("Endpoint", request["EndpointName"]), change, is_waking=True)
