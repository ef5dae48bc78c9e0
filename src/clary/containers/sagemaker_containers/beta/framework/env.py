"""The environment of a training or of a model, under its old name."""

from sagemaker_training.environment import (
    Environment,
    ServingEnv,
    channel_path,
    code_dir,
    input_data_dir,
    input_dir,
    model_dir,
    num_cpus,
    num_gpus,
    output_data_dir,
    output_dir,
    read_hyperparameters,
)

TrainingEnv = Environment

__all__ = [
    "Environment",
    "ServingEnv",
    "TrainingEnv",
    "channel_path",
    "code_dir",
    "input_data_dir",
    "input_dir",
    "model_dir",
    "num_cpus",
    "num_gpus",
    "output_data_dir",
    "output_dir",
    "read_hyperparameters",
]
