"""A run on this machine, as its folder shows it; what is in memory can be read again from the files.

runs/<run id>/ spec.json, place.json, started
               hosts/<host>/ pid, gpus, state.json, stop.json, result.json …
"""

import contextlib
import json
import logging
import os
import shutil
import signal
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clary.compute import limits, linux
from clary.compute.base import RESIDENT, Outcome, Result, RunPhase, RunSpec, RunState
from clary.kernel.clock import epoch_ms

SERVING_MIB = 512
"""What a resident host reserves: models are small beside the instance types people name for them."""
_ORDER = (
    RunPhase.LOST,
    RunPhase.QUEUED,
    RunPhase.STARTING,
    RunPhase.DOWNLOADING,
    RunPhase.TRAINING,
    RunPhase.PROCESSING,
    RunPhase.TRANSFORMING,
    RunPhase.SERVING,
    RunPhase.UPLOADING,
    RunPhase.ENDED,
)
"""A run stands where its first host in this order stands: one lost host is told at once."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Run:
    """One run and its folder."""

    spec: RunSpec
    folder: Path
    arrived_ns: int
    slot: int
    """Number that no other run of this machine has."""
    is_started: bool = False
    is_ended: bool = False
    told: RunState | None = field(default=None)
    """State last told to whoever listens."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """By host, where the others reach it, if they are on several machines."""

    @classmethod
    def read(cls, folder: Path) -> "Run | None":
        """Read a run from its folder; None where there is none."""
        try:
            spec = RunSpec.from_json(json.loads((folder / "spec.json").read_text()))
            place = json.loads((folder / "place.json").read_text())
            run = cls(spec, folder, arrived_ns=int(place["arrived_ns"]), slot=int(place["slot"]))
            run.addresses = place.get("addresses") or {}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        run.is_started = (folder / "started").exists()
        return run

    def write(self) -> None:
        """Make the folder; a folder with a spec is a run."""
        for host in self.spec.hosts:
            self.home(host).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        place = {"arrived_ns": self.arrived_ns, "slot": self.slot, "addresses": dict(self.addresses)}
        replace_json(self.folder / "place.json", place)
        replace_json(self.folder / "spec.json", self.spec.to_json())

    @property
    def memory_mib(self) -> int:
        """Memory reserved for all hosts together."""
        each = self.spec.size.memory_mib
        if self.spec.kind in RESIDENT:
            each = min(each, SERVING_MIB)
        return each * len(self.spec.hosts)

    @property
    def n_gpus(self) -> int:
        """GPUs reserved for all hosts together."""
        return self.spec.size.gpus * len(self.spec.hosts)

    def home(self, host: str) -> Path:
        """Return the host's folder."""
        return self.folder / "hosts" / host

    def gpus(self) -> set[int]:
        """Return the numbers of the GPUs that its hosts were given."""
        numbers: set[int] = set()
        for host in self.spec.hosts:
            with contextlib.suppress(OSError, ValueError):
                numbers.update(map(int, (self.home(host) / "gpus").read_text().split(",")))
        return numbers

    def give_gpus(self, free: list[int]) -> None:
        """Write down which of the free GPUs each host has."""
        each = self.spec.size.gpus
        for index, host in enumerate(self.spec.hosts):
            numbers = free[index * each : (index + 1) * each]
            (self.home(host) / "gpus").write_text(",".join(map(str, numbers)))

    def agent(self, host: str) -> int | None:
        """Return the pid of the host's agent, if it lives."""
        return linux.stamped(self.home(host) / "pid")

    def result(self, host: str) -> Result | None:
        """Return how the host ended, if it has."""
        try:
            return Result.from_json(json.loads((self.home(host) / "result.json").read_text()))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def end(self, outcome: Outcome, phase: RunPhase, reason: str = "") -> None:
        """Write the same result for every host that has none."""
        now = epoch_ms()
        is_retryable = outcome is Outcome.FAILED
        for host in self.spec.hosts:
            if self.result(host) is None:
                result = Result(
                    outcome=outcome,
                    phase=phase,
                    reason=reason,
                    is_retryable=is_retryable,
                    started_ms=now,
                    ended_ms=now,
                )
                replace_json(self.home(host) / "result.json", result.to_json())

    def ask_to_stop(self, outcome: Outcome, grace_s: float) -> None:
        """Write `stop.json`; a later call may only shorten the grace."""
        for host in self.spec.hosts:
            path = self.home(host) / "stop.json"
            asked = {"outcome": outcome.value, "grace_s": grace_s}
            with contextlib.suppress(OSError, ValueError, KeyError):
                before = json.loads(path.read_text())
                asked = {**before, "grace_s": min(grace_s, before["grace_s"])}
            replace_json(path, asked)

    def state(self) -> RunState:
        """Read how the hosts stand."""
        phases: list[RunPhase] = []
        results: dict[str, Result] = {}
        addresses: dict[str, str] = {}
        live: set[str] = set()
        is_started = self.is_started
        for host in self.spec.hosts:
            pid = self.agent(host)  # before the result: else a host that ends just now looks lost
            result = self.result(host)
            if result is not None:
                results[host] = result
                phases.append(RunPhase.ENDED)
                if pid is not None:
                    live.add(host)
            elif not is_started:
                phases.append(RunPhase.QUEUED)
            elif pid is None:
                phases.append(RunPhase.LOST)
            else:
                phase, address = self.progress(host)
                phases.append(phase)
                if address:
                    addresses[host] = address
        phase = min(phases, key=_ORDER.index)
        return RunState(phase=phase, results=results, addresses=addresses, live=frozenset(live))

    def progress(self, host: str) -> tuple[RunPhase, str | None]:
        """Return the host's phase, and where it answers, as its agent wrote them."""
        try:
            document = json.loads((self.home(host) / "state.json").read_text())
            return RunPhase(document["phase"]), document.get("address")
        except (OSError, ValueError, KeyError):
            return RunPhase.STARTING, None

    def kill(self) -> None:
        """Kill the agents, and so their sandboxes; then what may live outside of one.

        An agent whose host has a result is leaving, and may be another run's by the time a signal arrives.
        """
        for host in self.spec.hosts:
            for name in ("program",) if self.result(host) else ("pid", "program"):
                pid = linux.stamped(self.home(host) / name)
                if pid is not None:
                    kill(pid)


def kill(pid: int) -> None:
    """Send SIGKILL, if there is anybody to get it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def replace_json(path: Path, document: object) -> None:
    """Write `path` by rename, readable for nobody else: whoever reads it reads all of it."""
    beside = path.with_name(f".{path.name}.new")
    beside.touch(mode=0o600)
    beside.write_text(json.dumps(document))
    beside.replace(path)


def remove(folder: Path, run_id: str) -> None:
    """Remove a run's groups and its folder; what dying processes still write goes in a later round."""
    for group in limits.leftover_groups(f"{run_id}."):
        limits.remove_group(group)
    for _ in range(50):
        shutil.rmtree(folder, onerror=_opening)
        if not folder.exists():
            return
        time.sleep(0.1)
    log.warning("%s cannot be removed", folder)


def _opening(function: Callable[..., object], path: str, _: object) -> None:
    """Open a folder that a job has closed to its owner, and try again."""
    with contextlib.suppress(OSError):
        for each in (os.path.dirname(path), path):
            if stat.S_ISDIR(os.lstat(each).st_mode):  # never through a link: a job may have left any
                os.chmod(each, 0o700)
        function(path)
