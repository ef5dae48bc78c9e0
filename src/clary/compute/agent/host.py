"""One host of a run, as its folder shows it.

runs/<run id>/spec.json
             /hosts/algo-1/ lock, pid, state.json, stop.json, result.json, agent.log
                            ml/ (`/opt/ml`), tmp/ (`/tmp`), work/ (the agent's own)
"""

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from clary.compute import linux
from clary.compute.base import Outcome, Result, RunPhase, RunSpec
from clary.compute.cluster import gated
from clary.kernel.clock import epoch_ms

INSIDE = "/opt/ml"
"""Where the program finds `ml`."""
REASON_CHARS = 1024
"""Longest `FailureReason`. Source: API reference, DescribeTrainingJob."""


class AlreadyRunningError(Exception):
    """Another agent has this host."""


@dataclass(frozen=True)
class Stop:
    """What `stop.json` asks for."""

    outcome: Outcome = Outcome.STOPPED
    grace_s: float = 120.0


class Host:
    """One host: its folder, its place in the run, and what it tells of itself."""

    def __init__(self, home: Path, spec: RunSpec, lock: IO[str] | None = None) -> None:
        self.home = home
        self.spec = spec
        self.name = home.name
        self.ml = home / "ml"
        """`/opt/ml`, seen from outside; the program may write everything in it."""
        self.work = home / "work"
        """Files of the agent's own."""
        self.phase = RunPhase.STARTING
        self.listeners: list[Callable[[RunPhase, str | None], None]] = []
        self.started_ms = epoch_ms()
        self._lock = lock
        self._log: logging.Handler | None = None

    @classmethod
    def open(cls, home: Path) -> "Host":
        """Take the host for this process.

        Raises
        ------
        AlreadyRunningError
            Another agent holds the lock.
        """
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise AlreadyRunningError(str(home)) from None
        spec = RunSpec.from_json(json.loads((home.parent.parent / "spec.json").read_text()))
        host = cls(home, spec, lock)
        _replace(home / "pid", linux.stamp(os.getpid()))
        host.work.mkdir(mode=0o700, exist_ok=True)
        return host

    def leave(self) -> None:
        """Be its agent no more: the process may go on as another's.

        An empty file stays: whoever started this agent may only now come to write its pid, and must not.
        """
        with contextlib.suppress(OSError):  # the run was discarded meanwhile
            _replace(self.home / "pid", "")

    def __enter__(self) -> "Host":
        """Log to `agent.log`, unless whoever started this process has seen to it."""
        if logging.getLogger().handlers:
            return self
        self._log = logging.FileHandler(self.home / "agent.log", delay=True)
        self._log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger("clary").addHandler(self._log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the log and the lock."""
        if self._log is not None:
            logging.getLogger("clary").removeHandler(self._log)
            self._log.close()
        if self._lock is not None:
            self._lock.close()

    @property
    def is_first(self) -> bool:
        """Whether this is the host that publishes for all."""
        return self.name == self.spec.hosts[0]

    @property
    def cache(self) -> Path:
        """Folder that runs share: `cache`, beside that of the runs."""
        return self.home.parents[3] / "cache"

    @property
    def has_result(self) -> bool:
        """Whether an agent before this one has ended the host."""
        return (self.home / "result.json").exists()

    def enter(self, phase: RunPhase, address: str | None = None) -> None:
        """Show, and tell, where the host stands."""
        self.phase = phase
        address = address and gated.told_as(self.home, address)
        _replace(self.home / "state.json", json.dumps({"phase": phase.value, "address": address}))
        for tell in self.listeners:
            tell(phase, address)

    def stop_request(self) -> Stop | None:
        """Return what `stop.json` asks for, if it is there."""
        try:
            document = json.loads((self.home / "stop.json").read_text())
        except (OSError, ValueError):
            return None
        return Stop(Outcome(document.get("outcome", "stopped")), float(document.get("grace_s", 120.0)))

    def ask_to_stop(self, grace_s: float) -> None:
        """Ask this very host to end, as the placement does."""
        document = {"outcome": Outcome.STOPPED.value, "grace_s": grace_s}
        _replace(self.home / "stop.json", json.dumps(document))

    def result(self, outcome: Outcome, **members: Any) -> Result:
        """Return a result of this host, ending now in its present phase."""
        members.setdefault("phase", self.phase)
        members["reason"] = members.get("reason", "")[:REASON_CHARS]
        return Result(outcome=outcome, started_ms=self.started_ms, ended_ms=epoch_ms(), **members)

    def publish(self, result: Result) -> None:
        """Write `result.json`, whole or not at all."""
        _replace(self.home / "result.json", json.dumps(result.to_json()))
        with contextlib.suppress(OSError):
            _replace(self.home / "state.json", json.dumps({"phase": RunPhase.ENDED.value, "address": None}))


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)
