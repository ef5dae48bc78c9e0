"""What a running Clary leaves for the other commands: a lock held for life, and a file that says what runs.

data_dir/supervisor.lock   flock'ed by the supervisor; free means Clary does not run here
data_dir/supervisor.json   pid, URL, version, and how each process stands
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clary.kernel.errors import SetupError

LOCK, STATE = "supervisor.lock", "supervisor.json"


@dataclass(frozen=True, kw_only=True)
class ProcessState:
    """How one process stands."""

    name: str
    phase: str
    is_required: bool = True
    """Clary answers nobody before it is ready."""
    pid: int = 0
    since: str = ""
    started_at: str = ""
    n_restarts: int = 0
    n_failures: int = 0
    """Ends in a row, without a while of health between."""
    last_end: str = ""
    last_lines: list[str] = field(default_factory=list)
    unhealthy: str = ""
    log: str = ""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A Clary that runs, or that did when the file was written."""

    pid: int
    since: str
    """Start time, as `identity.started` has it."""
    url: str
    region: str
    data_dir: str
    version: str
    started_at: str
    ca_bundle: str = ""
    """Certificates that clients need: the system's and Clary's own."""
    is_ready: bool = False
    processes: list[ProcessState] = field(default_factory=list)


def write(data_dir: Path, running: Running) -> None:
    """Publish by rename."""
    beside = data_dir / f"{STATE}.tmp"
    beside.write_text(json.dumps(asdict(running), indent=1))
    beside.replace(data_dir / STATE)


def read(data_dir: Path) -> Running | None:
    """Return what was written last, running or not; None when there is nothing readable."""
    try:
        document: dict[str, Any] = json.loads((data_dir / STATE).read_text())
        processes = [ProcessState(**each) for each in document.pop("processes")]
        return Running(**document, processes=processes)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def running(data_dir: Path) -> Running | None:
    """Return the Clary that runs on this data folder; None when none does."""
    return read(data_dir) if is_locked(data_dir) else None


def expect_running(data_dir: Path) -> Running:
    """Return the Clary that runs on this data folder.

    Raises
    ------
    SetupError
        None does, or it has only just begun to start.
    """
    if not is_locked(data_dir):
        raise SetupError(f"Clary is not running on {data_dir}; start it with `clary up -d`")
    found = read(data_dir)
    if found is None or not found.is_ready:
        raise SetupError(
            f"Clary is still starting on {data_dir}; try again in a moment, or see `clary status`"
        )
    return found


def is_locked(data_dir: Path) -> bool:
    """Say whether a supervisor holds the lock of this data folder."""
    try:
        descriptor = os.open(data_dir / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise SetupError(f"{data_dir / LOCK} cannot be read: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def hold_lock(data_dir: Path) -> Iterator[None]:
    """Hold the lock of a data folder.

    Raises
    ------
    SetupError
        Another Clary holds it; the text names its pid and URL.
    """
    descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(already(data_dir)) from None
        yield
    finally:
        os.close(descriptor)


def already(data_dir: Path) -> str:
    """Return the line for a second start on the same data folder."""
    other = read(data_dir)
    who = f" (pid {other.pid}) at {other.url}" if other else ""
    return f"Clary already runs on {data_dir}{who}; `clary down` stops it, `clary status` shows it"
