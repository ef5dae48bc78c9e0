"""A tenant of an accelerator: a lease, its claim on the device, and the process that uses it."""

import contextlib
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clary.compute import linux
from clary.serving.elastic.fair import Device, Flow, Stand
from clary.serving.elastic.ledger import Lease, is_alive
from clary.serving.elastic.messages import CUT, MESSAGE

CUT_GRACE_S = 2.0
"""From the request to give a turn up to SIGKILL."""
RECENT_S = 60.0
_PROCESS_CLOCK = 2
"""Source: `man 3 clock_getcpuclockid`, and the kernel's posix-timers: of all threads, as scheduled."""


@dataclass(eq=False)
class Tenant:
    """One lease at work."""

    lease: Lease
    device: Device
    flow: Flow
    is_cpu: bool
    """Whether its device is a slice of CPU."""
    pids: Path
    """Folder in which its process is written down."""
    line: socket.socket | None = None
    leash: socket.socket | None = None
    pid: int = 0
    n_answers: int = 0
    n_cut: int = 0
    memory_bytes: int = 0
    cut_at: float | None = None
    """When its present turn was cut."""
    told: dict[str, float] = field(default_factory=dict)
    """Counts that its agent has heard of."""
    told_at: float = 0.0
    _process: int = -1
    _base_bytes: int = 0
    _marks: deque[tuple[float, float]] = field(default_factory=deque)

    def attach(self, line: socket.socket, pid: int) -> None:
        """Take a process's line; an earlier one's is dropped."""
        self.detach()
        self.line, self.pid = line, pid
        self._process = os.pidfd_open(pid)
        self.flow.meter = meter_of(pid) if self.is_cpu else None
        stamp = linux.stamp(pid)
        known, base_bytes = _read(self._file)
        self._base_bytes = base_bytes if known == stamp else anonymous_bytes(pid)
        self._file.write_text(f"{stamp},{self._base_bytes}")

    @property
    def _file(self) -> Path:
        """Its process, and the memory that it had before its model; for a daemon that comes after."""
        return self.pids / self.lease.token

    def detach(self) -> None:
        """Let go of its process: it has ended, or has been replaced."""
        self.signal(signal.SIGCONT)
        for each in (self.line, self.leash):
            if each is not None:
                each.close()
        if self._process >= 0:
            os.close(self._process)
        self.line, self.leash, self.pid, self._process, self.cut_at = None, None, 0, -1, None
        self.flow.meter = None
        self.memory_bytes = 0

    def signal(self, number: int) -> None:
        """Send a signal to its process, and to no other that got its number."""
        if self._process >= 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._process, number)

    def police(self, now: float) -> str:
        """Cut a turn that lasts too long, end a process that does not heed it or has too much memory.

        Returns
        -------
        str
            Why its process was ended; empty where it was not.
        """
        if self.pid:
            self.memory_bytes = max(0, anonymous_bytes(self.pid) - self._base_bytes)
            most_mib = self.lease.slice.memory_mib
            if self.memory_bytes > most_mib << 20:
                self.signal(signal.SIGKILL)
                return (
                    f"The model used {self.memory_bytes >> 20} MiB of the accelerator's memory; "
                    f"{self.lease.type} has {most_mib} MiB. Its process was ended; choose a larger type."
                )
        if self.flow.stand not in {Stand.RUNNING, Stand.PAUSED}:
            return ""
        if self.cut_at is None and now - self.flow.begun > self.lease.limit_s:
            self.n_cut += 1
            self.cut_at = now
            self.signal(signal.SIGCONT)  # it must run to hear of it
            if self.leash is not None:
                with contextlib.suppress(OSError):
                    self.leash.send(MESSAGE.pack(CUT, round(self.lease.limit_s)))
        elif self.cut_at is not None and now - self.cut_at > CUT_GRACE_S:
            self.cut_at = now
            self.signal(signal.SIGKILL)
            return (
                f"A turn on the accelerator lasted longer than {self.lease.limit_s:.0f} s and could not be "
                "interrupted: the process was ended."
            )
        return ""

    def mark(self, now: float) -> None:
        """Remember what it has used by now."""
        self._marks.append((now, self.flow.device_s))
        while self._marks[0][0] < now - RECENT_S:
            self._marks.popleft()

    def recent(self) -> float:
        """Return the part of the last minute in which it had the device."""
        if len(self._marks) < 2:
            return 0.0
        (begun, before), (ended, after) = self._marks[0], self._marks[-1]
        return (after - before) / (ended - begun)

    def counts(self) -> dict[str, float]:
        """Return what it has used since it was admitted."""
        return {
            "device_s": self.flow.device_s,
            "waited_s": self.flow.waited_s,
            "n_turns": self.flow.n_turns,
            "n_answers": self.n_answers,
            "n_cut": self.n_cut,
        }

    def shown(self) -> dict[str, Any]:
        """Return how it stands, for people."""
        lease = self.lease
        return {
            **{name: getattr(lease, name) for name in ("device", "type", "account", "endpoint", "variant")},
            **self.counts(),
            "share": self.flow.share,
            "recent": self.recent(),
            "memory_mib": self.memory_bytes >> 20,
            "memory_most_mib": lease.slice.memory_mib,
            "pid": self.pid,
        }


def meter_of(pid: int) -> Callable[[], float]:
    """Return what tells the processor seconds of a process; once it has gone, no more come to them."""
    clock, last_s = (~pid << 3) | _PROCESS_CLOCK, 0.0

    def seconds() -> float:
        nonlocal last_s
        with contextlib.suppress(OSError):
            last_s = time.clock_gettime(clock)
        return last_s

    return seconds


def anonymous_bytes(pid: int) -> int:
    """Return the memory of a process that no file backs; 0 where it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:")), 0)


def wake_all(pids: Path) -> None:
    """Let go on what a daemon that was killed had paused."""
    for path in pids.iterdir():
        stamp, _ = _read(path)
        if is_alive(stamp):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(stamp.split()[0]), signal.SIGCONT)
        else:
            path.unlink(missing_ok=True)


def _read(path: Path) -> tuple[str, int]:
    """Return the stamp of a process and its memory before its model, as they were written down."""
    try:
        stamp, _, base_bytes = path.read_text().partition(",")
        return stamp, int(base_bytes)
    except (OSError, ValueError):
        return "", 0
