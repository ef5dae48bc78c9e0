"""Called the customer's functions; here the replica does that."""

from clary.containers import refusal

__getattr__ = refusal("sagemaker_containers.beta.framework.transformer")
