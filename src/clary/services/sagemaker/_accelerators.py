"""AcceleratorType of a variant: whether this machine can lend a part of an accelerator to it."""

from collections.abc import Mapping
from typing import Any

from clary.compute import accelerator
from clary.kernel.errors import ValidationException
from clary.kernel.settings import Settings


def check(where: str, variant: Mapping[str, Any], model: Mapping[str, Any], settings: Settings) -> None:
    """Refuse an accelerator that a variant cannot have; whether there is room shows when it starts.

    Raises
    ------
    ValidationException
        There are no accelerators here, or none so large, or the variant is of a kind that takes none.
    """
    wanted = variant.get("AcceleratorType")
    if not wanted:
        return
    if "ServerlessConfig" in variant:
        raise ValidationException(f"{where}: AcceleratorType and ServerlessConfig exclude each other.")
    containers = model.get("Containers") or [model.get("PrimaryContainer") or {}]
    if len(containers) > 1 or containers[0].get("Mode") == "MultiModel":
        raise ValidationException(
            f"{where}: AcceleratorType '{wanted}' is for models of one container and one model; "
            f"'{variant['ModelName']}' has several."
        )
    if not accelerator.count(settings):
        raise ValidationException(
            f"{where}: AcceleratorType '{wanted}': there is no accelerator here (CLARY_ACCELERATORS is 0)."
        )
    part, whole = accelerator.slice_of(wanted), accelerator.whole(settings)
    if part.tflops > whole.tflops or part.memory_mib > whole.memory_mib:
        raise ValidationException(
            f"{where}: AcceleratorType '{wanted}' takes {part.tflops:g} TFLOPS and {part.memory_mib} MiB; an "
            f"accelerator of this machine has {whole.tflops:g} TFLOPS and {whole.memory_mib} MiB in all."
        )
