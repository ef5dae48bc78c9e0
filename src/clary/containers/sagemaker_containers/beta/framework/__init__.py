"""Stand-in for `sagemaker_containers.beta.framework`."""

from sagemaker_training import entry_point, errors
from sagemaker_training.environment import Environment as TrainingEnv
from sagemaker_training.environment import ServingEnv

from . import content_types, encoders, env, modules, transformer, worker

__all__ = [
    "ServingEnv",
    "TrainingEnv",
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
