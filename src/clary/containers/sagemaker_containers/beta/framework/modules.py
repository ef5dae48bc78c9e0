"""Installed the customer's code; here the platform has done that."""

from clary.containers import refusal

__getattr__ = refusal("sagemaker_containers.beta.framework.modules")
