"""What to supervise: a `Process` is a name, a command, a probe, a restart policy."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from clary.gateway.objects import Command

Probe = Callable[[], Awaitable[str]]
"""Returns an empty text when the process answers, else why not."""


class Phase(StrEnum):
    """Where a process stands."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting to restart"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class Restart:
    """How soon an ended process starts again: the delay doubles, and shrinks back after a while of health."""

    first_s: float = 0.2
    most_s: float = 5.0
    healthy_s: float = 30.0

    def delay_s(self, n_failures: int) -> float:
        """Return the wait before the start that follows `n_failures` ends in a row (1 for the first)."""
        return min(self.first_s * 2.0 ** (n_failures - 1), self.most_s)


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of the platform."""

    name: str
    """Names its log file, too."""
    command: Callable[[], Command]
    """Called before every start, so that it can choose other ports."""
    ready: Probe | None = None
    """None: ready as soon as it runs."""
    is_required: bool = True
    """The platform is ready only when this process is."""
    restart: Restart = field(default_factory=Restart)
    umask: int = 0o077
    """What it writes is its owner's only; the zygote hands its own on to jobs, which expect the usual one."""
    grace_s: float = 5.0
    """From SIGTERM to SIGKILL."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a person who watches wants to know. Plain values, so that it travels as JSON."""

    kind: str
    """`starting`, `ready`, `ended`, `failed` (will not start), `up` (all required are ready), `stopping`,
    `stopped`."""
    name: str = ""
    """Of the process; empty for the whole."""
    text: str = ""
    seconds: float = 0.0
    """`ready`, `up`: since the start. `ended`: until the next start."""
