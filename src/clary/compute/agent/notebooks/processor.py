"""A limit on an instance's processor time that nothing in it can lift: a cgroup, where one can be made."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from clary.compute import linux
from clary.compute.limits import GROUP

PERIOD_US = 100_000
OLD_S = 3600.0
"""An empty group of an earlier agent is removed once it is so old."""


def hold(pid: int, name: str, cpus: float) -> Callable[[], None]:
    """Hold a process, its descendants and theirs to so many cores together; return what undoes it.

    Does nothing where this machine lets us make no such group: the caller's affinity is all there is then.
    """
    quota = str(int(cpus * PERIOD_US))
    with contextlib.suppress(OSError):
        if _hold_v2(pid, quota):
            return _nothing
        parent = _v1_parent()
        if parent is not None:
            return _hold_v1(parent / name, pid, quota)
    return _nothing


def _nothing() -> None:
    """Undo nothing."""


def _hold_v2(pid: int, quota: str) -> bool:
    """Limit the group that holds the memory already; version 2 has one tree for both."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    folder = Path("/sys/fs/cgroup") / own
    if folder.parent.name != GROUP:
        return False
    (folder.parent / "cgroup.subtree_control").write_text("+cpu")
    (folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
    return True


def _v1_parent() -> Path | None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return Path(point) / GROUP
    return None


def _hold_v1(folder: Path, pid: int, quota: str) -> Callable[[], None]:
    folder.parent.mkdir(exist_ok=True)
    _sweep(folder.parent)
    folder.mkdir(exist_ok=True)
    (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
    (folder / "cpu.cfs_quota_us").write_text(quota)
    held: set[int] = set()
    while new := tree(pid) - held:  # what was forked meanwhile by one that was not held yet
        for each in new:
            with contextlib.suppress(ProcessLookupError):
                (folder / "cgroup.procs").write_text(str(each))
        held |= new

    def undo() -> None:
        with contextlib.suppress(OSError):
            folder.rmdir()

    return undo


def tree(root: int) -> set[int]:
    """Return a process and its descendants."""
    parents = {pid: linux.parent_of(pid) for pid in linux.pids()}
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def _sweep(parent: Path) -> None:
    """Remove groups that a killed agent left; those with a process in them refuse."""
    for each in parent.iterdir():
        with contextlib.suppress(OSError):
            if each.is_dir() and time.time() - each.stat().st_mtime > OLD_S:
                os.rmdir(each)
