"""What holds an instance to its volume: once it is full, nothing in the instance can lengthen a file.

room ──▶ full ──▶ room: files were deleted. JupyterLab, its kernels and its terminals go on all the while.
"""

import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clary.compute import linux
from clary.compute.agent.notebooks import home, processor

LOOK_S, SOONEST_S = 30.0, 1.0
"""Between two looks at a volume: with all the room, and with next to none."""
FASTEST = 1 << 30
"""Bytes a second that an instance may write, for the next look to be in time."""
SHARE = 10
"""A look that took a second is not repeated for ten."""

_CAP_SYS_RESOURCE = 24
_AS_OWNER = """
import contextlib, os, resource, sys
uid, gid, soft, hard, *pids = map(int, sys.argv[1:])
os.setgroups([])
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
for pid in pids:
    with contextlib.suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
"""


class Brake:
    """Looks at one volume, and stops the writing of the processes below one."""

    def __init__(self, folder: Path, size_bytes: int, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._size_bytes = size_bytes
        self._say = say
        self._is_on = False
        self.pause_s = 0.0
        """Until the next look."""

    def look(self, pid: int) -> None:
        """Measure the volume; hold `pid` and its descendants while it is full, let them go once it is not."""
        begun = time.monotonic()
        used = home.used_bytes(self._folder)
        took_s = time.monotonic() - begun
        room = self._size_bytes - used
        self.pause_s = min(LOOK_S, max(SOONEST_S, room / FASTEST, SHARE * took_s))
        if room < 0:
            self._limit(pid, 0)
            if not self._is_on:
                self._say(full(used, self._size_bytes))
        elif self._is_on:
            self._limit(pid, self._size_bytes)
            self._say("There is room in the volume again: files can be written.")
        self._is_on = room < 0

    def _limit(self, pid: int, size_bytes: int) -> None:
        """Set how large a file each process may make one; those that are forked meanwhile, too."""
        is_free = linux.has_capability(_CAP_SYS_RESOURCE)
        # who may not raise a hard limit again lowers the soft one alone, which a program could lift
        hard = size_bytes if is_free else self._size_bytes
        held: set[int] = set()
        while new := processor.tree(pid) - held:
            for (uid, gid), pids in _by_owner(new).items():
                if is_free or uid == os.geteuid():
                    _set_limits(pids, size_bytes, hard)
                elif uid:  # root without the capability may not; their owner may
                    given = map(str, (uid, gid, size_bytes, hard, *pids))
                    argv = [sys.executable, "-I", "-c", _AS_OWNER, *given]
                    subprocess.run(argv, check=False, timeout=LOOK_S)  # noqa: S603 - ours
            held |= new


def _set_limits(pids: Sequence[int], soft: int, hard: int) -> None:
    """Set how large a file processes may make one; those that have ended need none."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def _by_owner(pids: set[int]) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            owner = os.stat(f"/proc/{pid}")
            found.setdefault((owner.st_uid, owner.st_gid), []).append(pid)
    return found


def full(used_bytes: int, size_bytes: int) -> str:
    """Return what a person reads about a full volume."""
    return (
        f"The volume is full: {used_bytes / 2**30:.1f} GiB are in /home/ec2-user/SageMaker, and "
        f"VolumeSizeInGB is {size_bytes >> 30}. Nothing can be written until files are deleted there "
        "(File too large is what programs say), or UpdateNotebookInstance gives it more."
    )
