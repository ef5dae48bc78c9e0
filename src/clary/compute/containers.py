"""Several containers of one model on one instance: what they are called, and where each listens."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

DIRECT = "Direct"
"""`InferenceExecutionConfig.Mode` in which a client names the container; else they stand in a row."""


def name_of(container: Mapping[str, Any], place: int) -> str:
    """Return a container's name: its hostname, else the service's by its place, from 0.

    Source: developer guide, "Log groups and streams that SageMaker AI logs": `container-1`, `container-2` …
    """
    return str(container.get("ContainerHostname") or f"container-{place + 1}")


def address_of(address: str, place: int) -> str:
    """Return where the process number `place`, from 0, of the replica at `address` listens."""
    return address if place == 0 else str(PurePosixPath(address).with_name(f"c{place + 1}.sock"))
