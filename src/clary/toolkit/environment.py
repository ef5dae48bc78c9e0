"""The environment of a job: what the platform sets, and the `SM_*` that the training toolkit computes.

Source: sagemaker-training-toolkit 5.1, `environment.py` and `mapping.py`; its output is the test's golden.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PREFIX = "sagemaker_"
TOOLKIT_PARAMETERS = frozenset(
    {
        "sagemaker_program",
        "sagemaker_submit_directory",
        "sagemaker_enable_cloudwatch_metrics",
        "sagemaker_region",
        "sagemaker_container_log_level",
        "sagemaker_job_name",
        "default_user_module_name",
        "_tuning_objective_metric",
        "sagemaker_s3_output",
    }
)
"""Hyperparameters that speak to the toolkit; other `sagemaker_*` ones speak to a framework."""
DISTRIBUTIONS = (
    "sagemaker_mpi_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
    "sagemaker_torch_distributed_enabled",
)
"""Framework parameters, any of which makes the instance group a distributed one."""


def platform(
    *,
    job_name: str,
    job_arn: str,
    region: str,
    host: str,
    given: Mapping[str, str],
    requested: Mapping[str, str],
) -> dict[str, str]:
    """Return what the platform sets for every program.

    Parameters
    ----------
    given : mapping
        Endpoint URLs and the credentials' URI, from the control plane.
    requested : mapping
        `Environment` of the request; wins over all.
    """
    environment = {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "SAGEMAKER_REGION": region,
        "CURRENT_HOST": host,
        "DMLC_INTERFACE": "eth0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "UTF-8",
        "LANG": "C.UTF-8",
        "TRAINING_JOB_NAME": job_name,
        "TRAINING_JOB_ARN": job_arn,
        **given,
        **requested,
    }
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if endpoint:
        environment.setdefault("S3_ENDPOINT_URL", endpoint)
    return environment


def decode(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters as values: JSON where they are JSON, else the string itself."""
    values: dict[str, Any] = {}
    for name, text in hyperparameters.items():
        try:
            values[name] = json.loads(text)
        except (ValueError, TypeError):
            values[name] = text
    return values


def arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """Return a script's arguments, `--name value`, sorted by name; a one-letter name is `-n value`."""
    words: list[str] = []
    for name in sorted(hyperparameters):
        value = hyperparameters[name]
        if isinstance(value, Mapping):
            value = ",".join(f"{key}={each}" for key, each in sorted(value.items()))
        flag = f"--{name}" if len(name) > 1 else f"-{name}" if name else ""
        words += [flag, "" if value is None else str(value)]
    return words


def variables(values: Mapping[str, Any]) -> dict[str, str]:
    """Return `SM_<NAME>` variables: strings as they are, None as nothing, the rest as sorted JSON."""

    def text(value: Any) -> str:
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))

    return {f"SM_{name.upper()}": text(value) for name, value in values.items()}


class Training:
    """A training host as the toolkit sees it, read from the files of `input/config`."""

    def __init__(
        self,
        config: Path,
        *,
        base: str = "/opt/ml",
        environ: Mapping[str, str] | None = None,
        num_cpus: int | None = None,
        num_gpus: int | None = None,
    ) -> None:
        """Read the files.

        Parameters
        ----------
        config : Path
            `input/config`, as this process sees it.
        base : str
            `/opt/ml`, as the script sees it.
        environ : mapping, optional
            The script's environment so far; this process's by default.
        num_cpus, num_gpus : int, optional
            Of the host; counted by default.
        """
        environ = os.environ if environ is None else environ
        resources = json.loads((config / "resourceconfig.json").read_text())
        inputs = json.loads((config / "inputdataconfig.json").read_text())
        every = decode(json.loads((config / "hyperparameters.json").read_text()))
        ours = {
            name: each
            for name, each in every.items()
            if name.startswith(PREFIX) or name in TOOLKIT_PARAMETERS
        }
        self.base = base
        self.hyperparameters = {name: each for name, each in every.items() if name not in ours}
        """Those that are the script's."""
        self.framework = {name: each for name, each in ours.items() if name not in TOOLKIT_PARAMETERS}
        program = environ.get("SAGEMAKER_PROGRAM") or ours.get("sagemaker_program")
        self.entry_point = None if program is None else str(program)
        """File to run, relative to the code folder."""
        self.arguments = arguments(self.hyperparameters)
        self._ours = ours
        self._resources = resources
        self._inputs = inputs
        self._environ = environ
        self._num_cpus = num_cpus or os.cpu_count() or 1
        self._num_gpus = count_gpus() if num_gpus is None else num_gpus

    def values(self) -> dict[str, Any]:
        """Return the toolkit's `training_env`: every property of its `Environment`."""
        base, resources = self.base, self._resources
        hosts, host = resources["hosts"], resources["current_host"]
        group = resources.get("current_group_name", "homogeneousCluster")
        groups = {each["instance_group_name"]: each for each in resources.get("instance_groups", ())}
        is_distributed = any(self.framework.get(name) for name in DISTRIBUTIONS)
        distributed = self.framework.get(
            "sagemaker_distribution_instance_groups", [group] if is_distributed else []
        )
        if groups:
            spread = [each for name in groups if name in distributed for each in groups[name]["hosts"]]
        else:
            spread = list(hosts)
        master = (spread or hosts)[0]
        entry = self.entry_point
        return {
            "additional_framework_parameters": self.framework,
            "channel_input_dirs": {name: f"{base}/input/data/{name}" for name in self._inputs},
            "current_host": host,
            "current_instance_group": group,
            "current_instance_group_hosts": groups[group]["hosts"] if group in groups else [],
            "current_instance_type": resources.get("current_instance_type", "local"),
            "distribution_hosts": spread,
            "distribution_instance_groups": distributed,
            "framework_module": self._environ.get("SAGEMAKER_TRAINING_MODULE"),
            "hosts": hosts,
            "hyperparameters": self.hyperparameters,
            "input_config_dir": f"{base}/input/config",
            "input_data_config": self._inputs,
            "input_dir": f"{base}/input",
            "instance_groups": list(groups),
            "instance_groups_dict": groups,
            "is_hetero": len(groups) > 1,
            "is_master": host == master,
            "is_modelparallel_enabled": None,
            "is_smddpmprun_installed": False,
            "is_smddprun_installed": False,
            "job_name": self._environ.get("TRAINING_JOB_NAME"),
            "log_level": self._ours.get("sagemaker_container_log_level", 20),
            "master_hostname": master,
            "model_dir": f"{base}/model",
            "module_dir": str(self._ours.get("sagemaker_submit_directory", f"{base}/code")),
            "module_name": entry[:-3] if entry and entry.endswith(".py") else entry,
            "network_interface_name": resources.get("network_interface_name", "eth0"),
            "num_cpus": self._num_cpus,
            "num_gpus": self._num_gpus,
            "num_neurons": 0,
            "output_data_dir": f"{base}/output/data",
            "output_dir": f"{base}/output",
            "output_intermediate_dir": f"{base}/output/intermediate",
            "resource_config": resources,
            "topology": resources.get("topology", []),
            "user_entry_point": entry,
        }

    def environment(self) -> dict[str, str]:
        """Return the `SM_*` variables, and those that the toolkit sets beside them."""
        values = self.values()
        shown = {name: values[name] for name in _SHOWN}
        shown |= {
            "hps": self.hyperparameters,
            "framework_params": self.framework,
            "channels": sorted(self._inputs),
            "training_env": values,
            "user_args": self.arguments,
        }
        if values["topology"]:
            shown["topology"] = values["topology"]
        shown |= {f"channel_{name}": path for name, path in values["channel_input_dirs"].items()}
        shown |= {f"hp_{name}": value for name, value in self.hyperparameters.items()}
        return {
            **variables(shown),
            "SAGEMAKER_JOB_NAME": str(self._ours.get("sagemaker_job_name", "")),
            "SAGEMAKER_REGION": str(self._ours.get("sagemaker_region", self._environ.get("AWS_REGION", ""))),
            "CURRENT_HOST": values["current_host"],
        }


_SHOWN = (
    "hosts",
    "network_interface_name",
    "user_entry_point",
    "resource_config",
    "input_data_config",
    "output_data_dir",
    "current_host",
    "current_instance_type",
    "current_instance_group",
    "current_instance_group_hosts",
    "instance_groups",
    "instance_groups_dict",
    "distribution_instance_groups",
    "is_hetero",
    "module_name",
    "log_level",
    "framework_module",
    "input_dir",
    "input_config_dir",
    "output_dir",
    "num_cpus",
    "num_gpus",
    "num_neurons",
    "model_dir",
    "module_dir",
    "output_intermediate_dir",
)
"""Properties that are variables of their own. Source: `Environment.to_env_vars`."""


def count_gpus() -> int:
    """Return the number of NVIDIA GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip() not in {"", "-1"}])
    if not Path("/dev/nvidiactl").exists():
        return 0
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--list-gpus"],  # noqa: S607 - found on the PATH like the toolkit does
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
