"""EndpointConfig: which models an endpoint serves, on what, with what weights."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import SINCE, NotFound, Resource
from clary.services.sagemaker import _instances

NOT_SERVED = ("ShadowProductionVariants", "AsyncInferenceConfig", "ExplainerConfig")
"""Members whose behaviour does not exist yet: refused, not stored and ignored."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateEndpointConfig beyond the model."""
    for member in NOT_SERVED:
        if request.get(member):
            raise ValidationException(f"{member} is not served yet; leave it out.")
    if request.get("DataCaptureConfig"):
        _check_capture(request["DataCaptureConfig"])
    names: set[str] = set()
    variants = []
    for variant in request["ProductionVariants"]:
        name = variant["VariantName"]
        if name in names:
            raise ValidationException(f"ProductionVariants: VariantName '{name}' is given twice.")
        names.add(name)
        variants.append(_variant(call, variant))
    return {
        "ProductionVariants": variants,
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
    }


def _check_capture(terms: Mapping[str, Any]) -> None:
    if terms.get("KmsKeyId"):
        raise ValidationException("DataCaptureConfig.KmsKeyId is not served yet; leave it out.")
    uri = terms["DestinationS3Uri"]
    if not uri.startswith("s3://") or not uri[5:].partition("/")[0]:
        raise ValidationException(
            f"DataCaptureConfig.DestinationS3Uri '{uri}' must be a bucket and prefix, such as s3://bucket/prefix."
        )


def _variant(call: Call, variant: Mapping[str, Any]) -> dict[str, Any]:
    name = variant["VariantName"]
    for member in ("ServerlessConfig", "ManagedInstanceScaling", "InferenceAmiVersion"):
        if variant.get(member):
            raise ValidationException(
                f"ProductionVariants '{name}': {member} is not served yet; leave it out."
            )
    if "ModelName" not in variant:
        raise ValidationException(
            f"ProductionVariants '{name}': ModelName is required (inference components are not served yet)."
        )
    call.find("Model", variant["ModelName"])
    if "InstanceType" not in variant:
        raise ValidationException(f"ProductionVariants '{name}': InstanceType is required.")
    _instances.check(variant["InstanceType"], "endpoint")
    return {"InitialInstanceCount": 1, "InitialVariantWeight": 1.0, **variant}


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
