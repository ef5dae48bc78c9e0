"""The configuration files of `/opt/ml/input/config`. Source: reference sdk-compat, section 6.1."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clary.toolkit.channels import Channel

FOLDERS = ("code", "input/config", "input/data", "model", "output/data", "output/intermediate")
"""Below `/opt/ml`, there before the program starts."""
GROUP = "homogeneousCluster"
"""Name of the one instance group of a job that names none."""
INTERFACE = "eth0"


def instance_groups(resources: Mapping[str, Any], hosts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the groups of a `ResourceConfig`, hosts dealt out in order.

    Parameters
    ----------
    resources : mapping
        `ResourceConfig` of the request.
    hosts : sequence of str
        `algo-1` …, in the order in which they were launched.
    """
    wanted = resources.get("InstanceGroups") or [
        {
            "InstanceGroupName": GROUP,
            "InstanceType": resources.get("InstanceType", ""),
            "InstanceCount": len(hosts),
        }
    ]
    groups, at = [], 0
    for each in wanted:
        end = at + int(each["InstanceCount"])
        groups.append(
            {
                "instance_group_name": each["InstanceGroupName"],
                "instance_type": each["InstanceType"],
                "hosts": sorted(hosts[at:end]),
            }
        )
        at = end
    return groups


def resource_config(resources: Mapping[str, Any], hosts: Sequence[str], host: str) -> dict[str, Any]:
    """Return `resourceconfig.json`."""
    groups = instance_groups(resources, hosts)
    mine = next((group for group in groups if host in group["hosts"]), groups[0])
    return {
        "current_host": host,
        "current_instance_type": mine["instance_type"],
        "current_group_name": mine["instance_group_name"],
        "hosts": sorted(hosts),
        "instance_groups": groups,
        "network_interface_name": INTERFACE,
    }


def input_data_config(channels: Sequence[Channel]) -> dict[str, dict[str, str]]:
    """Return `inputdataconfig.json`."""
    document = {}
    for channel in channels:
        members = {
            "TrainingInputMode": channel.input_mode,
            "S3DistributionType": channel.distribution,
            "RecordWrapperType": channel.record_wrapper,
        }
        if channel.content_type:
            members["ContentType"] = channel.content_type
        document[channel.name] = members
    return document


def write(
    ml: Path, request: Mapping[str, Any], channels: Sequence[Channel], *, hosts: Sequence[str], host: str
) -> None:
    """Make the folders and configuration files of a training host below `ml`, its `/opt/ml`."""
    for folder in FOLDERS:
        (ml / folder).mkdir(parents=True, exist_ok=True)
    specification = request.get("AlgorithmSpecification", {})
    checkpoint = checkpoint_path(request)
    files: dict[str, Any] = {
        "hyperparameters": dict(request.get("HyperParameters") or {}),
        "resourceconfig": resource_config(request.get("ResourceConfig", {}), hosts, host),
        "inputdataconfig": input_data_config(channels),
        "metric-definition-regex": specification.get("MetricDefinitions") or [],
        "trainingjobconfig": dict(request),
        "init-config": {
            "inputMode": str(specification.get("TrainingInputMode", "File")).upper(),
            "channels": {channel.name: {"s3Uri": channel.uri} for channel in channels},
            "checkpointPath": checkpoint,
        },
    }
    if checkpoint:
        files["checkpointconfig"] = {"LocalPath": checkpoint}
    for name, document in files.items():
        (ml / "input/config" / f"{name}.json").write_text(json.dumps(document, default=str))


def checkpoint_path(request: Mapping[str, Any]) -> str:
    """Return where the program finds its checkpoints; empty where it asked for none."""
    config = request.get("CheckpointConfig") or {}
    return str(config.get("LocalPath") or "/opt/ml/checkpoints") if config.get("S3Uri") else ""
