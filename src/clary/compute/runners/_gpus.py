"""GPUs of a container: how each engine is asked for them.

Podman's Docker API drops requests of the NVIDIA driver without a word; from 5.4 on it takes those of the
Container Device Interface. Source: podman-container-tools/podman, issue 22645 and pull request 25171.
"""

from collections.abc import Sequence
from typing import Any

from clary.kernel.errors import SetupError

SINCE = (5, 4)
PODMAN = "Podman "


def refusal(engine: str) -> str:
    """Return why an engine, by name and version, gives no GPUs; empty where it does."""
    if not engine.startswith(PODMAN):
        return ""
    digits = [part for part in engine.removeprefix(PODMAN).split(".")[:2] if part.isdecimal()]
    if tuple(map(int, digits)) >= SINCE:
        return ""
    return f"{engine} gives containers no GPUs through its API: Podman 5.4 and newer do, and Docker"


def request_of(numbers: Sequence[str], engine: str) -> dict[str, Any]:
    """Return the device request for GPUs by their numbers.

    Raises
    ------
    SetupError
        The engine would start the container without them.
    """
    if why := refusal(engine):
        raise SetupError(why)
    if engine.startswith(PODMAN):
        return {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={each}" for each in numbers]}
    return {"Driver": "nvidia", "DeviceIDs": list(numbers), "Capabilities": [["gpu"]]}
