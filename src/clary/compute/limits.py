"""Memory limits: a cgroup where one can be made, else a watchdog that counts what the processes use.

fence() ──▶ CgroupFence (v2, v1): the kernel refuses and kills; where None: Watchdog, which looks and kills.
"""

import contextlib
import os
import resource
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from clary.compute import linux

MIB = 1024 * 1024
GROUP = "clary"
"""Name of the folder that holds our groups in the cgroup tree."""
OPEN_FILES = 65536
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_THREAD_TIMEOUT": "16"}
"""Threads sleep while they wait: OpenMP's made XGBoost ten times slower on busy cores, and OpenBLAS's, which
spin for 2^26 cycles unless told otherwise, cost each fork 160 ms of processor time."""
PROCESSES = 8192
"""Cap on processes of one user id: stops a fork bomb, far above what a data loader starts."""
LOOK_EVERY_S = 0.08
"""A process that touches 5 GiB/s goes 400 MiB over its limit between two looks."""


class Fence(Protocol):
    """What holds the memory of one host's processes."""

    def attach(self, pid: int) -> None:
        """Take in `pid`, and whatever it forks from now on."""
        ...

    def entrance(self) -> int | None:
        """Return a descriptor through which a single-threaded process takes itself in by writing `0`.

        None where there is no such thing, and `attach` is the way.
        """
        ...

    def memory_bytes(self) -> int:
        """Return what is in use."""
        ...

    def was_exceeded(self) -> bool:
        """Return whether the limit has ended a process."""
        ...

    def close(self) -> None:
        """Kill what is left and remove the group; safe to repeat."""
        ...


class CgroupFence:
    """A memory cgroup, version 2 or 1."""

    def __init__(self, folder: Path, memory_mib: int, *, version: int) -> None:
        self._folder = folder
        self._version = version
        self._is_closed = False
        limit = str(memory_mib * MIB)
        folder.mkdir(exist_ok=True)
        try:
            if version == 2:
                (folder / "memory.max").write_text(limit)
                _write_if_there(folder / "memory.swap.max", "0")
                _write_if_there(folder / "memory.oom.group", "1")
            else:
                (folder / "memory.limit_in_bytes").write_text(limit)
                _write_if_there(folder / "memory.memsw.limit_in_bytes", limit)
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            raise
        self._killed_before = self._n_killed()  # the group may be left from an earlier agent of the host

    def attach(self, pid: int) -> None:
        """Move `pid` into the group."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def entrance(self) -> int | None:
        """Open version 1's list of threads; 0.04 ms where a move from outside costs 6 to 16.

        A move of a whole process waits for every processor; a thread that moves itself does not.
        """
        return os.open(self._folder / "tasks", os.O_WRONLY) if self._version == 1 else None

    def memory_bytes(self) -> int:
        """Return the group's usage without its page cache, which the kernel gives back under pressure."""
        try:
            stat = (self._folder / "memory.stat").read_text()
        except OSError:
            return 0
        counts = dict(line.split(" ", 1) for line in stat.splitlines())
        names = ("anon", "shmem") if self._version == 2 else ("total_rss", "total_shmem")
        return sum(int(counts.get(name, 0)) for name in names)

    def was_exceeded(self) -> bool:
        """Return whether the kernel has killed for the limit."""
        return self._n_killed() > self._killed_before

    def _n_killed(self) -> int:
        name = "memory.events" if self._version == 2 else "memory.oom_control"
        try:
            lines = (self._folder / name).read_text().splitlines()
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def close(self) -> None:
        """Kill the members, then remove the folder."""
        if not self._is_closed:
            self._is_closed = remove_group(self._folder)


class Watchdog:
    """A thread that adds up the memory of a host's processes and kills them when it is too much.

    Parameters
    ----------
    members : callable
        Returns the pids of the host's processes.
    kill : callable
        Ends them all.
    """

    def __init__(
        self, memory_mib: int, members: Callable[[], Iterable[int]], kill: Callable[[], None]
    ) -> None:
        self._limit = memory_mib * MIB
        self._members = members
        self._kill = kill
        self._exceeded = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watchdog", daemon=True)

    def attach(self, pid: int) -> None:
        """Begin to look."""
        if not self._thread.is_alive():
            self._thread.start()

    def entrance(self) -> int | None:
        """Return None: there is nothing to enter."""
        return None

    def memory_bytes(self) -> int:
        """Return the sum, shared pages divided among their users."""
        return sum(linux.proportional_bytes(pid) for pid in self._members())

    def was_exceeded(self) -> bool:
        """Return whether this watchdog killed."""
        return self._exceeded

    def close(self) -> None:
        """Stop looking."""
        self._end.set()

    def look(self) -> None:
        """Count once; kill when over."""
        # resident memory counts shared pages once for each process: cheap, and never too low
        if sum(linux.resident_bytes(pid) for pid in self._members()) > self._limit < self.memory_bytes():
            self._exceeded = True
            self._kill()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_EVERY_S):
            self.look()


def fence(name: str, memory_mib: int) -> Fence | None:
    """Make a cgroup called `name`; None where this machine lets us make none.

    Parameters
    ----------
    name : str
        Unique among the runs of this machine, and safe as a folder's name.
    """
    for parent, version in _parents():
        with contextlib.suppress(OSError):
            parent.mkdir(exist_ok=True)
            if version == 2:
                _write_if_there(parent / "cgroup.subtree_control", "+memory")
            return CgroupFence(parent / name, memory_mib, version=version)
    return None


def leftover_groups(prefix: str) -> list[Path]:
    """Return the groups whose name begins with `prefix`."""
    return [
        folder
        for parent, _ in _parents()
        if parent.is_dir()
        for folder in parent.iterdir()
        if folder.is_dir() and folder.name.startswith(prefix)
    ]


def remove_group(folder: Path, *, within_s: float = 2.0) -> bool:
    """Kill a group's processes and remove it; return whether it is gone."""
    until = time.monotonic() + within_s
    while folder.is_dir():
        with contextlib.suppress(OSError, ValueError):
            for line in (folder / "cgroup.procs").read_text().split():
                os.kill(int(line), 9)
        with contextlib.suppress(OSError):
            folder.rmdir()
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


def set_rlimits(*, processes: bool) -> None:
    """Set the limits of this process: no core files, enough open files, and a cap on processes.

    Parameters
    ----------
    processes : bool
        Whether the user id is the run's own; the kernel counts processes by user id.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if processes:
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        cap = PROCESSES if hard == resource.RLIM_INFINITY else min(hard, PROCESSES)
        resource.setrlimit(resource.RLIMIT_NPROC, (cap, cap))


def _parents() -> list[tuple[Path, int]]:
    """Return folders of the cgroup tree in which groups of ours may go, with the version."""
    found: list[tuple[Path, int]] = []
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return found
    for _, point, kind, options, *_ in mounts:
        root = Path(point)
        if kind == "cgroup2" and "memory" in _words(root / "cgroup.controllers"):
            here = next((path for _, names, path in own if not names), "/")
            # a group with members cannot have limited children: beside our own group, never below it
            found += [(root / GROUP, 2), ((root / here.lstrip("/")).parent / GROUP, 2)]
        elif kind == "cgroup" and "memory" in options.split(","):
            here = next((path for _, names, path in own if "memory" in names.split(",")), "/")
            found += [(root / GROUP, 1), (root / here.lstrip("/") / GROUP, 1)]
    return list(dict.fromkeys(found))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _write_if_there(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        if path.exists():
            path.write_text(text)
