"""What an instance type holds, and what the machine has.

Source
------
Amazon SageMaker AI pricing and "Amazon EC2 instance types": within a family, memory per vCPU is constant and
vCPUs follow the size's name (large 2, xlarge 4, 2xlarge 8, …); burstable types and accelerators do not, and
are listed.
"""

import os
import re
from functools import cache
from glob import glob
from pathlib import Path

from clary.compute.base import Size
from clary.kernel.errors import ValidationException

GIB = 1024
_GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8, "x": 16, "z": 8}
_PLAIN = re.compile(r"(c|m|r|x|z)(\d)([a-z-]*)")
_BURSTABLE: dict[str, dict[str, tuple[int, float]]] = {
    "t2": {"medium": (2, 4), "large": (2, 8), "xlarge": (4, 16), "2xlarge": (8, 32)},
    "t3": {
        "nano": (2, 0.5),
        "micro": (2, 1),
        "small": (2, 2),
        "medium": (2, 4),
        "large": (2, 8),
        "xlarge": (4, 16),
        "2xlarge": (8, 32),
    },
}
_BURSTABLE["t3a"] = _BURSTABLE["t4g"] = _BURSTABLE["t3"]
_ACCELERATED: dict[str, tuple[float, dict[str, tuple[int, int]]]] = {
    # family: (GiB per vCPU, {size: (vCPUs, GPUs)})
    "p2": (15.25, {"xlarge": (4, 1), "8xlarge": (32, 8), "16xlarge": (64, 16)}),
    "p3": (7.625, {"2xlarge": (8, 1), "8xlarge": (32, 4), "16xlarge": (64, 8)}),
    "p3dn": (8, {"24xlarge": (96, 8)}),
    "p4d": (12, {"24xlarge": (96, 8)}),
    "p4de": (12, {"24xlarge": (96, 8)}),
    "p5": (2048 / 192, {"48xlarge": (192, 8)}),
    "p5e": (2048 / 192, {"48xlarge": (192, 8)}),
    "p5en": (2048 / 192, {"48xlarge": (192, 8)}),
    "g4dn": (
        4,
        {
            "xlarge": (4, 1),
            "2xlarge": (8, 1),
            "4xlarge": (16, 1),
            "8xlarge": (32, 1),
            "12xlarge": (48, 4),
            "16xlarge": (64, 1),
        },
    ),
    "inf1": (2, {"xlarge": (4, 0), "2xlarge": (8, 0), "6xlarge": (24, 0), "24xlarge": (96, 0)}),
    "inf2": (4, {"xlarge": (4, 0), "8xlarge": (32, 0), "24xlarge": (96, 0), "48xlarge": (192, 0)}),
    "trn1": (4, {"2xlarge": (8, 0), "32xlarge": (128, 0)}),
    "trn1n": (4, {"32xlarge": (128, 0)}),
    "trn2": (2048 / 192, {"48xlarge": (192, 0)}),
    "eia1": (4, {"medium": (1, 0), "large": (2, 0), "xlarge": (4, 0)}),
    "eia2": (4, {"medium": (1, 0), "large": (2, 0), "xlarge": (4, 0)}),
}
_ODD: dict[str, tuple[int, float, int]] = {
    # type: (vCPUs, GiB, GPUs), where neither rule holds
    "c4.8xlarge": (36, 60, 0),
    "dl1.24xlarge": (96, 768, 0),
    "g7e.12xlarge": (48, 512, 2),
    "g7e.24xlarge": (96, 1024, 4),
    "g7e.48xlarge": (192, 2048, 8),
    "p5.4xlarge": (16, 256, 1),
    "p6-b200.48xlarge": (192, 2048, 8),
    "p6-b300.48xlarge": (192, 4096, 8),
    "p6e-gb200.36xlarge": (144, 960, 4),
}
_G_GPUS = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
"""GPUs of the larger sizes of the g families; the others have one."""
_G_FAMILIES = {"g5": 4, "g6": 4, "g6e": 8, "g7": 4, "g7e": 8}
_LARGEST = 112
"""Multiple of the largest size there is."""


@cache
def size_of(instance_type: str) -> Size:
    """Return what a host of `instance_type` may use.

    Raises
    ------
    ValidationException
        Not an `ml.` instance type that SageMaker has.
    """
    if instance_type in {"local", "local_gpu"}:
        return Size(cpus=cores(), memory_mib=memory_mib(), gpus=gpus() if instance_type == "local_gpu" else 0)
    match = re.fullmatch(r"ml\.([a-z0-9-]+)\.([a-z0-9-]+)", instance_type)
    found = _size(*match.groups()) if match else None
    if found is None:
        raise ValidationException(
            f"instance type {instance_type!r} is not known; use ml.<family>.<size>, "
            "with a family such as m5, c5, r5, t3, g5 or p3, and a size such as large or 2xlarge"
        )
    return found


def _size(family: str, size: str) -> Size | None:
    listed = _listed(family, size)
    vcpus = _vcpus(size)
    if listed is not None or vcpus is None or family in _ACCELERATED or family in _BURSTABLE:
        return listed
    if family in _G_FAMILIES:
        memory = vcpus * _G_FAMILIES[family] * GIB
        return Size(cpus=vcpus, memory_mib=memory, gpus=_G_GPUS.get(size, 1)) if vcpus >= 4 else None
    plain = _PLAIN.fullmatch(family)
    if plain is None:
        return None
    # the fourth generation predates the rule: c4 has 1.875 and r4 has 7.625 GiB a vCPU
    per_vcpu = {"c4": 1.875, "r4": 7.625}.get(family, _GIB_PER_VCPU[plain[1]])
    return Size(cpus=vcpus, memory_mib=int(vcpus * per_vcpu * GIB))


def _listed(family: str, size: str) -> Size | None:
    """Return the size of a type that is written down one by one."""
    cpus, gib, gpus = _ODD.get(f"{family}.{size}", (0, 0.0, 0))
    if family in _BURSTABLE and size in _BURSTABLE[family]:
        cpus, gib = _BURSTABLE[family][size]
    if family in _ACCELERATED and size in _ACCELERATED[family][1]:
        cpus, gpus = _ACCELERATED[family][1][size]
        gib = cpus * _ACCELERATED[family][0]
    return Size(cpus=cpus, memory_mib=int(gib * GIB), gpus=gpus) if cpus else None


def _vcpus(size: str) -> int | None:
    if size == "medium":
        return 1
    if size == "large":
        return 2
    match = re.fullmatch(r"(\d*)xlarge", size)
    if match is None:
        return None
    times = int(match[1] or 1)
    return 4 * times if times <= _LARGEST else None


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def memory_mib() -> int:
    """Return this machine's memory, or the container's limit where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            total = min(total, int(text))
    return total // (1024 * 1024)


@cache
def gpus() -> int:
    """Return how many NVIDIA devices this machine has."""
    return len(glob("/dev/nvidia[0-9]*"))
