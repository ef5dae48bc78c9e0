"""The environment of a training, as `SM_TRAINING_ENV` has it; that of a model, as its variables have it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from clary.containers import refusal

_BASE = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
base_dir = _BASE
code_dir = f"{_BASE}/code"
model_dir = os.environ.get("SM_MODEL_DIR", f"{_BASE}/model")
input_dir = f"{_BASE}/input"
input_data_dir = f"{_BASE}/input/data"
output_dir = f"{_BASE}/output"
output_data_dir = f"{_BASE}/output/data"


class Environment(Mapping[str, Any]):
    """Everything that the training toolkit knows of a training, each as an attribute and as an item."""

    def __init__(self) -> None:
        text = os.environ.get("SM_TRAINING_ENV")
        if not text:
            raise RuntimeError("SM_TRAINING_ENV is not set: this is no training job.")
        self._values: dict[str, Any] = json.loads(text)
        self._values.setdefault("sagemaker_region", os.environ.get("AWS_REGION", ""))
        self._values.setdefault("user_args", json.loads(os.environ.get("SM_USER_ARGS", "[]")))

    def __getattr__(self, name: str) -> Any:
        """Return a property of the training."""
        if name.startswith("_") or name not in self._values:
            raise AttributeError(f"a training's environment has no {name!r}; it has: {', '.join(self)}")
        return self._values[name]

    def __getitem__(self, name: str) -> Any:
        """Return a property of the training."""
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the properties' names."""
        return iter(sorted(self._values))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._values)

    def to_env_vars(self) -> dict[str, str]:
        """Return the `SM_*` variables."""
        return {name: value for name, value in os.environ.items() if name.startswith("SM_")}

    def to_cmd_args(self) -> list[str]:
        """Return the hyperparameters as a script's arguments."""
        return [str(each) for each in self._values["user_args"]]

    def sagemaker_s3_output(self) -> str | None:
        """Return where the job's output goes."""
        found: str | None = self._values["additional_framework_parameters"].get("sagemaker_s3_output")
        return found


class ServingEnv:
    """What a model's script may ask of its environment."""

    def __init__(self) -> None:
        self.model_dir = model_dir
        self.module_dir = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", code_dir)
        self.module_name = os.environ.get("SAGEMAKER_PROGRAM", "").removesuffix(".py")
        self.user_entry_point = os.environ.get("SAGEMAKER_PROGRAM")
        self.current_host = os.environ.get("SM_CURRENT_HOST", "")
        self.default_accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json")
        self.num_cpus = num_cpus()
        self.num_gpus = num_gpus()


def training_env() -> Environment:
    """Return the training's environment."""
    return Environment()


def read_hyperparameters() -> dict[str, Any]:
    """Return the script's hyperparameters, decoded."""
    found: dict[str, Any] = json.loads(os.environ.get("SM_HPS", "{}"))
    return found


def channel_path(channel: str) -> str:
    """Return the folder of a channel."""
    return os.path.join(input_data_dir, channel)


def num_cpus() -> int:
    """Return the CPUs that the script may use."""
    return int(os.environ.get("SM_NUM_CPUS") or os.cpu_count() or 1)


def num_gpus() -> int:
    """Return the GPUs that the script may use."""
    return int(os.environ.get("SM_NUM_GPUS") or 0)


__getattr__ = refusal(
    "sagemaker_training.environment", "Environment", "training_env", "read_hyperparameters", "channel_path"
)
