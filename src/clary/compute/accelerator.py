"""What an accelerator type takes of a shared accelerator, what one has to give, and where its daemon listens.

    agent   ──JSON lines──▶ control.sock ─┐
    replica ──turns───────▶ turns.sock  ──┴─ the daemon, `clary.serving.elastic`

Source
------
"Amazon Elastic Inference pricing" and "Elastic Inference basics": memory and teraflops (32 bit) by type. The
first generation's are stated for 16 bit; its shares are taken from its sizes.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from clary.compute import linux, machine
from clary.kernel.errors import ValidationException
from clary.kernel.settings import Settings

WHOLE_MIB = 8192
"""Memory of the largest type, and of one accelerator where nothing says otherwise."""
INSIDE = "/run/clary-accelerator"
"""Inside a sandbox: the folder of the daemon's socket for replicas."""
SOCKET_VARIABLE, TOKEN_VARIABLE = "CLARY_ACCELERATOR_SOCKET", "CLARY_ACCELERATOR_TOKEN"
PAGE_VARIABLE = "CLARY_ACCELERATOR_PAGE"
CONTROL, TURNS, PAGE = "control.sock", "turns.sock", "device-{}"
_SIZES = {"medium": 1.0, "large": 2.0, "xlarge": 4.0}
_GIB_OF_MEDIUM = {"eia1": 1, "eia2": 2}


@dataclass(frozen=True)
class Slice:
    """A part of an accelerator, or a whole one."""

    tflops: float
    memory_mib: int


def types() -> list[str]:
    """Return the accelerator types there are."""
    return [f"ml.{family}.{size}" for family in _GIB_OF_MEDIUM for size in _SIZES]


def slice_of(accelerator_type: str) -> Slice:
    """Return what an accelerator type takes.

    Raises
    ------
    ValidationException
        There is no such type.
    """
    if accelerator_type not in types():
        raise ValidationException(
            f"accelerator type '{accelerator_type}' is not known; use one of {', '.join(types())}"
        )
    _, family, size = accelerator_type.split(".")
    return Slice(_SIZES[size], int(_GIB_OF_MEDIUM[family] * _SIZES[size] * machine.GIB))


def whole(settings: Settings) -> Slice:
    """Return what one accelerator of this machine has to give."""
    memory_mib = settings.accelerator_memory_mib or min(WHOLE_MIB, machine.memory_mib() // 2)
    return Slice(settings.accelerator_tflops, memory_mib)


def count(settings: Settings) -> int:
    """Return how many accelerators this machine lends; its daemon needs Linux."""
    return settings.accelerators if linux.IS_LINUX else 0


def gpu_of(device: int) -> str:
    """Return the number of the GPU that is accelerator `device`; empty where it is a slice of CPU.

    Accelerators take the last GPUs first, jobs the first.
    """
    number = machine.gpus() - 1 - device
    return str(number) if number >= 0 else ""


def threads(settings: Settings) -> int:
    """Return how many threads a model has in its turn on a slice of CPU."""
    return settings.accelerator_cores or max(1, machine.cores() // 2)


def control_socket(settings: Settings) -> Path:
    """Return the socket for agents and commands, which no sandbox shows."""
    return settings.socket_dir / "accelerator" / CONTROL


def turns_folder(settings: Settings) -> Path:
    """Return the folder of the socket for replicas; sandboxes show it, so that a new one is found."""
    return settings.socket_dir / "accelerator" / "turns"


def is_same_user(uid: int) -> bool:
    """Tell whether a peer's user may speak for agents: the server's own, or root."""
    return uid in {0, os.geteuid()}
