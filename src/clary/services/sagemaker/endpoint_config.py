"""EndpointConfig: which models an endpoint serves, on what, with what weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import SINCE, NotFound, Resource
from clary.services.sagemaker import _accelerators, _instances
from clary.services.sns._records import has_topic

NOT_SERVED = ("ExplainerConfig", "CrossRegionTrafficConfig")
"""Members whose behaviour does not exist yet: refused, not stored and ignored."""

NOT_SERVED_OF_VARIANTS = (
    "AcceleratorPartitionLayouts",
    "CapacityReservationConfig",
    "CoreDumpConfig",
    "EnableSSMAccess",
    "InferenceAmiVersion",
    "InstancePools",
)
ROUTING = ("LEAST_OUTSTANDING_REQUESTS", "RANDOM")


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateEndpointConfig beyond the model."""
    for member in NOT_SERVED:
        if request.get(member):
            raise ValidationException(f"{member} is not served yet; leave it out.")
    for member in ("EnableEnhancedMetrics", "EnableDetailedObservability"):
        if request.get("MetricsConfig", {}).get(member):
            raise ValidationException(f"MetricsConfig.{member} is not served yet; leave it out.")
    if request.get("DataCaptureConfig"):
        _check_capture(request["DataCaptureConfig"])
    if request.get("AsyncInferenceConfig"):
        _check_asynchronous(call, request)
    _check_rooms(request)
    names: set[str] = set()
    variants = []
    for variant in request["ProductionVariants"]:
        name = variant["VariantName"]
        if name in names:
            raise ValidationException(f"ProductionVariants: VariantName '{name}' is given twice.")
        names.add(name)
        variants.append(_variant(call, variant))
    shadows = [
        _variant(call, shadow, "ShadowProductionVariants")
        for shadow in request.get("ShadowProductionVariants", ())
    ]
    _check_shadows(variants, shadows)
    return {
        "ProductionVariants": variants,
        **({"ShadowProductionVariants": shadows} if shadows else {}),
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
    }


def _check_asynchronous(call: Call, request: Mapping[str, Any]) -> None:
    terms = request["AsyncInferenceConfig"]["OutputConfig"]
    if terms.get("KmsKeyId"):
        raise ValidationException("AsyncInferenceConfig.OutputConfig.KmsKeyId is not served: leave it out.")
    for member in ("SuccessTopic", "ErrorTopic"):
        arn = terms.get("NotificationConfig", {}).get(member)
        if arn and not has_topic(call, arn):
            raise ValidationException(
                f"AsyncInferenceConfig.OutputConfig.NotificationConfig.{member} '{arn}': there is no such "
                f"topic in account {call.account}."
            )
    if not terms.get("S3OutputPath"):
        raise ValidationException("AsyncInferenceConfig.OutputConfig: S3OutputPath is required.")
    for member in ("ShadowProductionVariants", "DataCaptureConfig"):
        if request.get(member):
            raise ValidationException(f"{member} and AsyncInferenceConfig exclude each other.")
    if len(request["ProductionVariants"]) > 1 or "ServerlessConfig" in request["ProductionVariants"][0]:
        raise ValidationException(
            "ProductionVariants: an asynchronous endpoint has one variant, with instances of its own."
        )


def _check_capture(terms: Mapping[str, Any]) -> None:
    if terms.get("KmsKeyId"):
        raise ValidationException("DataCaptureConfig.KmsKeyId is not served yet; leave it out.")
    uri = terms["DestinationS3Uri"]
    if not uri.startswith("s3://") or not uri[5:].partition("/")[0]:
        raise ValidationException(
            f"DataCaptureConfig.DestinationS3Uri '{uri}' must be a bucket and prefix, such as s3://bucket/prefix."
        )


def _variant(call: Call, variant: Mapping[str, Any], member: str = "ProductionVariants") -> dict[str, Any]:
    where = f"{member} '{variant['VariantName']}'"
    for refused in NOT_SERVED_OF_VARIANTS:
        if variant.get(refused):
            raise ValidationException(f"{where}: {refused} is not served yet; leave it out.")
    if "ModelName" not in variant:
        return _room(where, variant, member)
    if variant.get("ManagedInstanceScaling"):
        raise ValidationException(
            f"{where}: ManagedInstanceScaling is for variants of inference components, which have no "
            "ModelName; register the variant with Application Auto Scaling instead."
        )
    model = call.find("Model", variant["ModelName"]).document
    _check_mode(where, variant, model, member)
    _accelerators.check(where, variant, model, call.world.settings)
    strategy = variant.get("RoutingConfig", {}).get("RoutingStrategy", ROUTING[0])
    if strategy not in ROUTING:
        raise ValidationException(
            f"{where}: RoutingConfig.RoutingStrategy '{strategy}' is not served; use {' or '.join(ROUTING)}."
        )
    if "ServerlessConfig" in variant:
        _check_serverless(where, variant)
        return {"InitialInstanceCount": 1, "InitialVariantWeight": 1.0, **variant}
    if "InstanceType" not in variant:
        raise ValidationException(f"{where}: InstanceType is required.")
    _instances.check(variant["InstanceType"], "endpoint")
    return {"InitialInstanceCount": 1, "InitialVariantWeight": 1.0, **variant}


def _check_mode(
    where: str, variant: Mapping[str, Any], model: Mapping[str, Any], member: str = "ProductionVariants"
) -> None:
    """Refuse a multi-model container where only one model can be asked."""
    container: Mapping[str, Any] = model.get("PrimaryContainer") or next(
        iter(model.get("Containers", ())), {}
    )
    if container.get("Mode") != "MultiModel":
        return
    if "ServerlessConfig" in variant or member != "ProductionVariants":
        what = "ServerlessConfig" if "ServerlessConfig" in variant else member
        raise ValidationException(f"{where}: {what} is not allowed for a model whose Mode is MultiModel.")


def _room(where: str, variant: Mapping[str, Any], member: str) -> dict[str, Any]:
    """Check a variant that is room for inference components."""
    if member != "ProductionVariants" or "ServerlessConfig" in variant:
        raise ValidationException(f"{where}: ModelName is required.")
    if "InstanceType" not in variant:
        raise ValidationException(f"{where}: InstanceType is required.")
    _instances.check(variant["InstanceType"], "endpoint")
    scaling = variant.get("ManagedInstanceScaling", {})
    n = variant.get("InitialInstanceCount", 1)
    least, most = scaling.get("MinInstanceCount", 0), scaling.get("MaxInstanceCount", max(1, n))
    if not least <= n <= most:
        raise ValidationException(
            f"{where}: InitialInstanceCount ({n}) must lie between MinInstanceCount ({least}) and "
            f"MaxInstanceCount ({most}) of ManagedInstanceScaling."
        )
    strategy = scaling.get("ScaleInPolicy", {}).get("Strategy", "IDLE_RELEASE")
    if strategy != "IDLE_RELEASE":
        raise ValidationException(
            f"{where}: ScaleInPolicy.Strategy '{strategy}' is not served; it must be IDLE_RELEASE."
        )
    return {"InitialInstanceCount": 1, "InitialVariantWeight": 1.0, **variant}


def _check_rooms(request: Mapping[str, Any]) -> None:
    """Check what a configuration must and must not have whose endpoint takes inference components."""
    if all("ModelName" in variant for variant in request["ProductionVariants"]):
        return
    if not request.get("ExecutionRoleArn"):
        raise ValidationException(
            "ExecutionRoleArn is required: a variant without ModelName is for inference components."
        )
    for member in ("DataCaptureConfig", "AsyncInferenceConfig", "ShadowProductionVariants"):
        if request.get(member):
            raise ValidationException(f"{member} is not served for endpoints of inference components.")


def _check_serverless(where: str, variant: Mapping[str, Any]) -> None:
    for member in ("InstanceType", "InitialInstanceCount"):
        if member in variant:
            raise ValidationException(f"{where}: {member} and ServerlessConfig exclude each other.")
    terms = variant["ServerlessConfig"]
    if terms["MemorySizeInMB"] % 1024:
        raise ValidationException(
            f"{where}: ServerlessConfig.MemorySizeInMB must be 1024, 2048, 3072, 4096, 5120 or 6144; it is "
            f"{terms['MemorySizeInMB']}."
        )
    if terms.get("ProvisionedConcurrency", 0) > terms["MaxConcurrency"]:
        raise ValidationException(
            f"{where}: ServerlessConfig.ProvisionedConcurrency ({terms['ProvisionedConcurrency']}) must not "
            f"be larger than MaxConcurrency ({terms['MaxConcurrency']})."
        )


def _check_shadows(variants: Sequence[Mapping[str, Any]], shadows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse shadows that have no production variant of their own.

    Source: developer guide, "Shadow variants": one production variant and one shadow variant.
    """
    if shadows and (len(shadows) > 1 or len(variants) > 1):
        raise ValidationException(
            f"ShadowProductionVariants: one shadow beside one production variant is allowed; there are "
            f"{len(shadows)} beside {len(variants)}."
        )
    names = {variant["VariantName"] for variant in variants}
    for shadow in shadows:
        if shadow["VariantName"] in names:
            raise ValidationException(
                f"ShadowProductionVariants: VariantName '{shadow['VariantName']}' is a production variant's."
            )
        if "ServerlessConfig" in shadow:
            raise ValidationException(
                f"ShadowProductionVariants '{shadow['VariantName']}': ServerlessConfig is not allowed."
            )


ENDPOINT_CONFIG = Resource(
    noun="EndpointConfig",
    arn="endpoint-config/{EndpointConfigName}",
    missing=NotFound.VALIDATION,
    missing_text='Could not find endpoint configuration "{arn}".',
    taken="ValidationException",
    taken_text='Cannot create already existing endpoint configuration "{arn}".',
    admit=admit,
    filters=SINCE,
)
