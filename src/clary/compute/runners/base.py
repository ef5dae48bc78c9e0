"""The seam between the agent and what runs a program: `start` it, `wait` for it, `signal` it.

agent ──Program──▶ Runner.start ──▶ Running ──wait──▶ Exit
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from clary.compute.base import RunSpec


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run inside the sandbox: a program to exec, or a function to call in the warm process."""

    argv: tuple[str, ...] = ()
    """Program and arguments to exec; a bare name is looked up in `PATH` of `environment`."""
    call: str = ""
    """`module:function`, called as `function(arguments)`; what it returns, if an int, is the exit code."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Argument of `call`; plain JSON."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The whole environment of the program, but for `PATH`, `HOME`, `TMPDIR`, which have defaults."""
    directory: str = "/opt/ml/code"
    """Working directory inside; made where it is missing below `/opt/ml`."""
    network: bool = True
    """False: no network but the program's own loopback."""
    binds: tuple[tuple[str, str], ...] = ()
    """Writable (path outside, path inside) pairs."""
    ro_binds: tuple[tuple[str, str], ...] = ()
    """Read-only (path outside, path inside) pairs."""
    image: str = ""
    """A real image: `argv` are then the arguments of its entry point, which may be none."""
    entrypoint: tuple[str, ...] = ()
    """Instead of the image's own."""

    def __post_init__(self) -> None:
        if not self.image and bool(self.argv) == bool(self.call):
            raise ValueError("a Program has either `argv` or `call`, exactly one of them")


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a program ended: an exit code, or the signal that ended it."""

    code: int | None = None
    signal: str | None = None
    """`SIGKILL` and so on."""
    is_out_of_memory: bool = False
    """The memory limit of the host ended it, or one of its processes."""


class Running(Protocol):
    """A program that was started.

    Promises
    --------
    - `wait` may be called again after the end and answers the same; None means it still runs.
    - `signal` and `kill` after the end do nothing.
    - When `wait` has answered an `Exit`, and in any case after `close`, no process of the program is left.
    - When the process that called `start` dies, however it dies, every process of the program dies.
    """

    pid: int
    """Of the program's first process, as the caller sees it."""
    address: str
    """Where it answers, `http://host:port`, if it is a container; else empty."""

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """Wait for the end, at most `timeout_s` seconds; None waits for ever, 0 only looks."""
        ...

    def signal(self, number: int) -> None:
        """Send a signal to every process of the program."""
        ...

    def kill(self) -> None:
        """Kill every process of the program, daemons included."""
        ...

    def memory_bytes(self) -> int:
        """Return the memory that the program uses now; 0 after its end."""
        ...

    def close(self) -> None:
        """Kill what is left and free the sandbox; safe to repeat."""
        ...


class Runner(Protocol):
    """How a host's program runs on this machine.

    Promises
    --------
    - `home/ml` is `/opt/ml` inside, writable for the program; `home/tmp` is `/tmp`.
    - The limits of `spec.size`, the hosts file (`spec.hosts` resolve), the user id: the runner's business.
    - `start` returns once the program's first process exists; its faults before `exec` or the call (a missing
      program, an import error) end it with code 127 and one line on `stderr`.
    - `stdout` and `stderr` are the caller's: the runner duplicates them into the program and closes neither.
    """

    name: ClassVar[str]

    def prepare(self, home: Path, spec: RunSpec, host: str, binds: tuple[tuple[str, str], ...] = ()) -> None:
        """Begin, beside other work, what depends on nothing of the program but its `binds`.

        `start` takes it up.
        """
        ...

    def withdraw(self) -> None:
        """Undo `prepare`, where no `start` has taken it up; safe to repeat."""
        ...

    def start(
        self, home: Path, spec: RunSpec, host: str, program: Program, *, stdout: int, stderr: int
    ) -> Running:
        """Start `program` as `host` of the run.

        Raises
        ------
        SetupError
            This machine cannot run it; the text says what to do.
        """
        ...
