"""Stand-in for `sagemaker_sklearn_container`, of which scripts need nothing."""

from clary.containers import refusal

__getattr__ = refusal("sagemaker_sklearn_container")
