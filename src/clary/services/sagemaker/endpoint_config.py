"""EndpointConfig: which models an endpoint serves, on what, with what weights."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import ValidationException
from clary.resource.call import Call
from clary.resource.declare import SINCE, NotFound, Resource
from clary.services.sagemaker import _instances

NOT_SERVED = ("ShadowProductionVariants", "AsyncInferenceConfig", "DataCaptureConfig", "ExplainerConfig")
"""Members whose behaviour does not exist yet: refused, not stored and ignored."""


def admit(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a CreateEndpointConfig beyond the model."""
    for member in NOT_SERVED:
        if request.get(member):
            raise ValidationException(f"{member} is not served yet; leave it out.")
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
