"""The processing contract: which objects a job reads at which paths, and where what it writes goes.

s3://…  ──▶ <LocalPath>/…           file inputs          /opt/ml/config/processingjobconfig.json
        ──▶ <LocalPath>_<epoch>     pipe inputs          /opt/ml/config/resourceconfig.json
<LocalPath>/… ──▶ s3://…            outputs              /opt/ml/output/message ──▶ ExitMessage
"""

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.toolkit import contract
from clary.toolkit.channels import FILE, Channel, Share
from clary.toolkit.objects import Objects

ML = "/opt/ml"
FOLDERS = ("config", "output", "processing/input", "processing/output")
"""Below `/opt/ml`, there before the program starts."""
SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "usr", "var")
"""Folders of `/` that a program needs as they are."""
_TAKEN = ("/", "/home", "/opt", ML, "/root", "/tmp")  # noqa: S108 - a name inside the sandbox


@dataclass(frozen=True, kw_only=True)
class Input:
    """One member of `ProcessingInputs`, as its `S3Input` says."""

    channel: Channel
    path: str
    """`LocalPath`, without a slash at its end."""

    @classmethod
    def from_request(cls, document: Mapping[str, Any]) -> "Input":
        """Read one member of `ProcessingInputs`."""
        source = document["S3Input"]
        channel = Channel(
            name=document["InputName"],
            uri=source["S3Uri"],
            data_type=source["S3DataType"],
            distribution=source.get("S3DataDistributionType") or "FullyReplicated",
            input_mode=source.get("S3InputMode") or FILE,
            compression=source.get("S3CompressionType") or "None",
        )
        return cls(channel=channel, path=posixpath.normpath(source["LocalPath"]))


@dataclass(frozen=True, kw_only=True)
class Output:
    """One member of `ProcessingOutputConfig.Outputs`, as its `S3Output` says."""

    name: str
    uri: str
    path: str
    is_continuous: bool

    @classmethod
    def from_request(cls, document: Mapping[str, Any]) -> "Output":
        """Read one member of `Outputs`."""
        target = document["S3Output"]
        return cls(
            name=document["OutputName"],
            uri=target["S3Uri"].rstrip("/"),
            path=posixpath.normpath(target["LocalPath"]),
            is_continuous=target.get("S3UploadMode") == "Continuous",
        )


def inputs(request: Mapping[str, Any]) -> list[Input]:
    """Return the inputs that the platform brings; an `AppManaged` one is the program's own affair."""
    return [
        Input.from_request(each)
        for each in request.get("ProcessingInputs") or ()
        if not each.get("AppManaged") and each.get("S3Input")
    ]


def outputs(request: Mapping[str, Any]) -> list[Output]:
    """Return the outputs that the platform takes to S3."""
    config = request.get("ProcessingOutputConfig") or {}
    return [
        Output.from_request(each)
        for each in config.get("Outputs") or ()
        if not each.get("AppManaged") and each.get("S3Output")
    ]


def fault_of_path(path: str) -> str:
    """Say what is wrong with a `LocalPath`; empty where it can be used.

    Examples
    --------
    >>> fault_of_path("/opt/ml/processing/input")
    ''
    >>> fault_of_path("data")
    'it must be an absolute path'
    >>> fault_of_path("/usr/data")
    'it hides a folder that programs need; use one below /opt/ml/processing'
    """
    if not path.startswith("/") or path.startswith("//"):
        return "it must be an absolute path"
    plain = posixpath.normpath(path)
    if ".." in path.split("/"):
        return "it must not lead upwards"
    if plain in _TAKEN or plain.split("/")[1] in SYSTEM:
        return "it hides a folder that programs need; use one below /opt/ml/processing"
    return ""


def write(
    ml: Path,
    request: Mapping[str, Any],
    *,
    arn: str,
    resources: Mapping[str, Any],
    hosts: Sequence[str],
    host: str,
) -> None:
    """Make the folders and configuration files of a processing host below `ml`, its `/opt/ml`."""
    for folder in FOLDERS:
        (ml / folder).mkdir(parents=True, exist_ok=True)
    files = {
        "processingjobconfig": {"ProcessingJobArn": arn, **request},
        "resourceconfig": contract.resource_config(resources, hosts, host),
    }
    for name, document in files.items():
        (ml / "config" / f"{name}.json").write_text(json.dumps(document, default=str))


def stage(parts: Sequence[tuple[Share, Path]], objects: Objects) -> int:
    """Download this host's share of every file input to its folder; return the bytes."""
    wanted = []
    for share, folder in parts:
        folder.mkdir(parents=True, exist_ok=True)
        wanted += [(item.entry, folder / item.name) for item in share.of_epoch(0) if item.entry is not None]
    return objects.fetch(wanted)
