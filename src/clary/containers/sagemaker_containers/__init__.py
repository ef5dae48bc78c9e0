"""Stand-in for `sagemaker_containers`, which images had before `sagemaker_training`."""

from sagemaker_training import entry_point
from sagemaker_training.environment import Environment as TrainingEnv
from sagemaker_training.environment import ServingEnv

from . import beta
from .beta.framework import content_types, encoders, env, errors, modules, transformer, worker

__all__ = [
    "ServingEnv",
    "TrainingEnv",
    "beta",
    "content_types",
    "encoders",
    "entry_point",
    "env",
    "errors",
    "modules",
    "training_env",
    "transformer",
    "worker",
]


def training_env() -> TrainingEnv:
    """Return the training's environment."""
    return TrainingEnv()
