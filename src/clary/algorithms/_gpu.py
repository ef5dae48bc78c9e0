"""Where an algorithm of NumPy finds a GPU: torch on the first CUDA device that this process sees.

    rows, weights (NumPy) ─▶ put ─▶ a mini-batch's products and steps on the device ─▶ take ─▶ sums (NumPy)

What is exchanged between hosts, kept in checkpoints and saved stays NumPy, so a model does not show where it
was made. Nothing here imports torch on a machine without such a device.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms._log import say

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

CONTROL = Path("/dev/nvidiactl")
"""There wherever NVIDIA's driver runs and this process may use it."""
STAND_IN_BYTES = 1 << 30
"""What torch's processor, where it stands in for a device in tests, keeps for long."""


@dataclass(frozen=True)
class Gpu:
    """A device, and the library that computes on it."""

    torch: ModuleType
    device: Any
    """A `torch.device`."""

    def put(self, values: NDArray[Any]) -> Any:
        """Return an array as a tensor on the device; its own memory, which the array does not see."""
        return self.torch.tensor(np.ascontiguousarray(values), device=self.device)

    def take(self, values: Any) -> NDArray[Any]:
        """Return a tensor as an array of this process's memory."""
        return np.asarray(values.detach().cpu().numpy())

    def free(self) -> int:
        """Return the bytes that are free on the device."""
        if self.device.type != "cuda":
            return 2 * STAND_IN_BYTES
        return int(self.torch.cuda.mem_get_info(self.device)[0])

    def room(self) -> int:
        """Return the bytes that may stay on the device for long: half of what is free there."""
        return self.free() // 2


@cache
def find() -> Gpu | None:
    """Return the first CUDA device that this process sees, None where it shall compute on the processor.

    Notes
    -----
    Sums are taken in one order there, too, so that the same rows give the same model: see torch's page
    "Reproducibility". Products stay in single precision, without TF32's shortening.
    """
    if not CONTROL.exists() or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return None
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA begins
    try:
        import torch  # noqa: PLC0415 - an extra, and a second of time
    except ImportError:
        say("There is a GPU, but no torch to compute on it: pip install 'clary[torch]'", "WARNING")
        return None
    if not torch.cuda.is_available():
        return None
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.backends.cudnn.allow_tf32 = (
        False  # convolutions and memory cells; products are not shortened anyway
    )
    say(f"Computing on {torch.cuda.get_device_name(0)}")
    return Gpu(torch, torch.device("cuda", 0))
