"""Stand-in for `sagemaker_xgboost_container`."""

from . import checkpointing, data_utils, distributed, encoder

__all__ = ["checkpointing", "data_utils", "distributed", "encoder"]
