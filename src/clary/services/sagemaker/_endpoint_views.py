"""What DescribeEndpoint shows of variants: those in service, and those of a deployment in progress."""

from collections.abc import Mapping
from typing import Any

from clary.resource.call import Call
from clary.store.records import Record

DEPLOYING = frozenset({"Creating", "Updating", "RollingBack"})


def variants(_call: Call, record: Record) -> list[dict[str, Any]]:
    """Return the variants in service, as DescribeEndpoint shows them."""
    return in_service(record.private)


def in_service(private: Mapping[str, Any], *, is_shadow: bool = False) -> list[dict[str, Any]]:
    """Return the variants in service: what each has, and what it should have."""
    plan = private.get("plan") or {"variants": ()}
    desired = {variant["VariantName"]: variant for variant in plan["variants"]}
    intent = private.get("intent", {})
    if "update" in intent and "config" not in intent:  # another size of the same fleet
        desired = {variant["VariantName"]: variant for variant in intent["update"]["variants"]}
    return [
        _shown(variant, desired.get(variant["VariantName"], variant))
        for variant in private.get("served", ())
        if bool(variant.get("Shadow")) == is_shadow
    ]


def shadows(_call: Call, record: Record) -> list[dict[str, Any]] | None:
    """Return the shadow variants in service; None where there are none."""
    return in_service(record.private, is_shadow=True) or None


def _shown(current: Mapping[str, Any], desired: Mapping[str, Any]) -> dict[str, Any]:
    if current.get("Room"):
        return {
            **{
                name: current[name] for name in ("ManagedInstanceScaling", "RoutingConfig") if name in current
            },
            "VariantName": current["VariantName"],
            "CurrentWeight": current["Weight"],
            "DesiredWeight": desired["Weight"],
            **_capacity(desired, current["InstanceCount"]),
        }
    return {
        "VariantName": current["VariantName"],
        "DeployedImages": _images(current),
        "CurrentWeight": current["Weight"],
        "DesiredWeight": desired["Weight"],
        **_capacity(desired, len(current["Replicas"])),
    }


def _images(variant: Mapping[str, Any]) -> list[dict[str, str]]:
    images = variant.get("Images") or [each for each in (variant["Image"],) if each]
    return [{"SpecifiedImage": each, "ResolvedImage": each} for each in images]


def _capacity(desired: Mapping[str, Any], n: int) -> dict[str, Any]:
    if "Serverless" in desired:
        return {
            "CurrentServerlessConfig": desired["Serverless"],
            "DesiredServerlessConfig": desired["Serverless"],
        }
    return {"CurrentInstanceCount": n, "DesiredInstanceCount": desired["InstanceCount"]}


def capture(_call: Call, record: Record) -> dict[str, Any] | None:
    """Return what is captured, as DescribeEndpoint shows it; None where nothing is configured."""
    terms = (record.private.get("plan") or {}).get("capture")
    if not terms:
        return None
    is_on = terms.get("EnableCapture", True)
    return {
        "EnableCapture": is_on,
        "CaptureStatus": "Started" if is_on and record.status not in {"Creating", "Failed"} else "Stopped",
        "CurrentSamplingPercentage": terms["InitialSamplingPercentage"],
        "DestinationS3Uri": terms["DestinationS3Uri"],
        "KmsKeyId": "",
    }


def asynchronous(_call: Call, record: Record) -> dict[str, Any] | None:
    """Return how the endpoint is asked asynchronously; None where it is not."""
    return (record.private.get("plan") or {}).get("asynchronous") or None


def pending(_call: Call, record: Record) -> dict[str, Any] | None:
    """Return the deployment in progress, as DescribeEndpoint shows it; None where there is none."""
    intent = record.private.get("intent", {})
    target = intent.get("update") if record.status == "Updating" else record.private.get("plan")
    if record.status not in DEPLOYING or target is None:
        return None
    now = {variant["VariantName"]: variant for variant in record.private.get("pending") or ()}
    serving = {variant["VariantName"]: variant for variant in record.private.get("served", ())}
    stage = record.private.get("stage") or ("Creating" if record.status == "Creating" else "Updating")
    shown: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for variant in target["variants"]:
        name = variant["VariantName"]
        entry = _pending(variant, now.get(name), serving.get(name), stage, record)
        shown[bool(variant.get("Shadow"))].append(entry)
    return {
        "EndpointConfigName": intent.get("config", record.document["EndpointConfigName"]),
        "StartTime": record.modified,
        "ProductionVariants": shown[False],
        **({"ShadowProductionVariants": shown[True]} if shown[True] else {}),
    }


def _pending(
    desired: Mapping[str, Any],
    current: Mapping[str, Any] | None,
    serving: Mapping[str, Any] | None,
    stage: str,
    record: Record,
) -> dict[str, Any]:
    replicas = (current or serving or {}).get("Replicas", ())
    return {
        "VariantName": desired["VariantName"],
        "DeployedImages": _images(desired),
        "CurrentWeight": (serving or {}).get("Weight", 0.0),
        "DesiredWeight": desired["Weight"],
        **_capacity(desired, len(replicas)),
        **({} if "Serverless" in desired else {"InstanceType": desired["InstanceType"]}),
        "VariantStatus": [{"Status": stage, "StartTime": record.modified}],
    }
