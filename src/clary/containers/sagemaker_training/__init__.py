"""Stand-in for `sagemaker_training`."""

from . import entry_point, environment, errors

__all__ = ["entry_point", "environment", "errors"]
