"""One machine: runs are packed by the memory they declare, and wait in order of arrival for room."""

import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

from clary.compute import machine
from clary.compute.base import RESIDENT, Outcome, RunKind, RunPhase, RunSpec, RunState
from clary.compute.run import Run, kill, remove
from clary.compute.runners.process import SLOTS
from clary.compute.starting import AGENT, start_agent
from clary.compute.watch import Watch
from clary.kernel.errors import ResourceLimitExceeded, ValidationException
from clary.kernel.settings import Settings

USABLE = 0.9
"""Share of the machine's memory that runs may declare; the rest is for Clary and the system."""
LOOK_EVERY_S = 5.0
"""Safety net: all runs are looked at this often, whatever the kernel has told."""
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")

log = logging.getLogger(__name__)


class LocalPlacement:
    """Hosts as agents of this machine, forked from the zygote when it listens.

    Parameters
    ----------
    settings : Settings
        For the folders, and the memory that runs may declare.
    on_change : callable, optional
        Called with the run's id, from a thread of the placement, after a host's phase or address changed.
    agent : sequence of str
        Command of an agent, without the host's folder.
    uses_zygote : bool
        Whether agents are forked from a zygote where one listens.

    Notes
    -----
    Jobs start strictly in order of arrival, so that large ones do not starve. Endpoints and notebooks do not
    wait behind jobs, and take no room from them: they reserve little, and somebody waits for them.
    """

    name: ClassVar[str] = "local"

    def __init__(
        self,
        settings: Settings,
        on_change: Callable[[str], None] | None = None,
        *,
        agent: Iterable[str] = AGENT,
        uses_zygote: bool = True,
    ) -> None:
        self._settings = settings
        self._on_change = on_change or (lambda _: None)
        self._agent = tuple(agent)
        self._uses_zygote = uses_zygote
        self.usable_mib = int(machine.memory_mib() * USABLE * settings.memory_overcommit)
        """Memory that runs may declare together."""
        self._runs: dict[str, Run] = {}
        self._lock = threading.RLock()
        self._watch = Watch()
        self._end = threading.Event()
        self._children: set[int] = set()
        settings.runs_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._adopt()
        self._thread = threading.Thread(target=self._dispatch, name="placement-local", daemon=True)
        self._thread.start()

    def launch(self, spec: RunSpec) -> None:
        """Write the run down and queue it."""
        if not _RUN_ID.fullmatch(spec.run_id):
            raise ValidationException(
                f"run id {spec.run_id!r} must match {_RUN_ID.pattern}: it names folders and groups"
            )
        n_gpus = spec.size.gpus * len(spec.hosts)
        if n_gpus > machine.gpus():
            raise ResourceLimitExceeded(
                f"{len(spec.hosts)} x {spec.instance_type} need {n_gpus} GPUs; "
                f"this machine has {machine.gpus()}"
            )
        limit = min(spec.size.memory_mib, self.usable_mib // len(spec.hosts))
        spec = replace(spec, size=replace(spec.size, memory_mib=limit))
        with self._lock:
            if spec.run_id in self._runs:
                return
            folder = self._settings.runs_dir / spec.run_id
            run = Run(spec, folder, arrived_ns=time.time_ns(), slot=self._free_slot())
            run.write()
            self._runs[spec.run_id] = run
            self._watch_run(run)
        self._watch.wake()

    def poll(self, run_id: str) -> RunState:
        """Read how the hosts stand."""
        with self._lock:
            run = self._runs.get(run_id)
        return RunState(phase=RunPhase.LOST) if run is None else run.state()

    def stop(self, run_id: str, *, outcome: Outcome = Outcome.STOPPED, grace_s: float = 120.0) -> None:
        """Write `stop.json` for every host; a second call may only shorten the grace."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                return
            run.ask_to_stop(outcome, grace_s)
            if not run.is_started:
                run.end(outcome, RunPhase.QUEUED)
        self._watch.wake()

    def discard(self, run_id: str) -> None:
        """Kill what is left, and remove the folder in the background."""
        with self._lock:
            run = self._runs.pop(run_id, None)
            if run is None:
                return
            self._watch.forget(run_id)
            run.kill()
            trash = self._settings.runs_dir / f".trash-{run_id}-{time.time_ns()}"
            with contextlib.suppress(OSError):
                run.folder.rename(trash)
        threading.Thread(target=remove, args=(trash, run_id), name="placement-discard", daemon=True).start()
        self._watch.wake()

    def forsake(self, node: str) -> None:
        """Do nothing: what a node has is on its own machine."""

    def close(self) -> None:
        """Stop the placement's thread; the runs go on."""
        self._end.set()
        self._watch.wake()
        self._thread.join()
        self._watch.close()

    def _look(self, run: Run) -> None:
        """Tell of a change, and let go of the room of a run that has ended."""
        # before the state: an agent that ends in between is then still watched, and its end told
        agents = [run.agent(host) for host in run.spec.hosts] if run.is_started else []
        state = run.state()
        for pid in agents:
            if pid is not None:
                self._watch.process(pid, run.spec.run_id)
        all_ended = len(state.results) == len(run.spec.hosts)
        run.is_ended = all_ended or (run.is_started and not any(agents))
        if state != run.told and run.spec.run_id in self._runs:
            is_news = run.told is not None or state.phase is not RunPhase.STARTING
            run.told = state
            if is_news:  # that a run starts at once is what whoever launched it expects
                self._tell(run)
        if run.is_ended and not any(agents):  # till then there is one more change to tell
            self._watch.forget(run.spec.run_id)

    def _tell(self, run: Run) -> None:
        try:
            self._on_change(run.spec.run_id)
        except Exception:
            log.exception("on_change failed for run %s", run.spec.run_id)

    def _watch_run(self, run: Run) -> None:
        for host in run.spec.hosts:
            self._watch.folder(run.home(host), run.spec.run_id)

    def _dispatch(self) -> None:
        """Look where something happened; start what fits."""
        looked_at = 0.0
        names: set[str] = set()
        while not self._end.is_set():
            try:
                self._reap()
                if time.monotonic() - looked_at > LOOK_EVERY_S:
                    looked_at = time.monotonic()
                    names = set(self._runs)
                seen = [run for name in names if (run := self._runs.get(name)) is not None]
                waiting = [run for run in seen if not run.is_started]
                for run in seen:
                    if run.is_started:
                        self._look(run)
                self._start_waiting()
                for run in waiting:
                    self._look(run)
            except Exception:
                log.exception("the placement's thread goes on after an error")
            names = self._watch.wait(LOOK_EVERY_S)

    def _start_waiting(self) -> None:
        while True:
            with self._lock:
                run = self._next()
                if run is None:
                    return
                self._start(run)
            self._look(run)

    def _next(self) -> Run | None:
        """Return the run to start now, if there is one with room for it."""
        live = [run for run in self._runs.values() if run.is_started and not run.is_ended]
        n_gpus = machine.gpus() - sum(run.n_gpus for run in live)
        waiting = [run for run in self._runs.values() if not (run.is_started or run.is_ended)]
        waiting.sort(key=lambda run: run.arrived_ns)
        for run in waiting:
            if run.result(run.spec.hosts[0]) is not None:
                run.is_ended = True  # stopped while it waited
        waiting = [run for run in waiting if not run.is_ended]
        jobs = [run for run in waiting if run.spec.kind not in RESIDENT]
        serving = [run for run in waiting if run.spec.kind in RESIDENT]
        fitting = [
            run
            for run in (*serving, *jobs[:1])
            if run.memory_mib <= self._room(run.spec.kind, live) and run.n_gpus <= n_gpus
        ]
        return min(fitting, key=lambda run: run.arrived_ns, default=None)

    def _room(self, kind: RunKind, live: list[Run]) -> int:
        """Return the MiB left for a run of this kind.

        Jobs and endpoints have a room each: a job as large as the machine would wait while an endpoint lives.
        """
        beside = (run for run in live if (run.spec.kind in RESIDENT) is (kind in RESIDENT))
        return self.usable_mib - sum(run.memory_mib for run in beside)

    def _start(self, run: Run) -> None:
        """Start every host, or none."""
        taken = {number for other in self._runs.values() if not other.is_ended for number in other.gpus()}
        if run.n_gpus:
            run.give_gpus([number for number in range(machine.gpus()) if number not in taken])
        (run.folder / "started").touch()
        begun: list[int] = []
        try:
            for host in run.spec.hosts:
                begun.append(self._start_agent(run, host))  # noqa: PERF401 - on a fault, those begun are ended
        except OSError as error:
            log.exception("run %s cannot start", run.spec.run_id)
            for pid in begun:
                kill(pid)
            reason = f"InternalServerError: the host's agent cannot be started: {error}"
            run.end(Outcome.FAILED, RunPhase.STARTING, reason)
        run.is_started = True

    def _start_agent(self, run: Run, host: str) -> int:
        pid, is_child = start_agent(self._settings, run, host, self._agent, uses_zygote=self._uses_zygote)
        if is_child:
            self._children.add(pid)
        self._watch.process(pid, run.spec.run_id)
        return pid

    def _reap(self) -> None:
        """Reap agents that are children of this process and have ended."""
        for pid in list(self._children):
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    self._children.discard(pid)
            except ChildProcessError:
                self._children.discard(pid)

    def _adopt(self) -> None:
        """Read the runs of an earlier life from their folders."""
        for folder in sorted(self._settings.runs_dir.iterdir()):
            if folder.name.startswith(".trash-"):
                run_id = folder.name.removeprefix(".trash-").rpartition("-")[0]
                threading.Thread(target=remove, args=(folder, run_id), daemon=True).start()
                continue
            run = Run.read(folder)
            if run is None:
                log.warning("%s is no run: left as it is", folder)
                continue
            self._runs[run.spec.run_id] = run
            self._watch_run(run)
            if run.is_started:
                for host in run.spec.hosts:
                    # the earlier life ended in the middle of a start; a second agent of a host ends at once
                    if not (run.home(host) / "pid").exists() and run.result(host) is None:
                        with contextlib.suppress(OSError):  # it is then lost, and told as such
                            self._start_agent(run, host)

    def _free_slot(self) -> int:
        taken = {run.slot for run in self._runs.values() if not run.is_ended}
        free = next((slot for slot in range(SLOTS) if slot not in taken), None)
        if free is None:
            raise ResourceLimitExceeded(f"{SLOTS} runs are live on this machine; it tells no more apart")
        return free
