"""A notebook instance: its home, its scripts, JupyterLab until it is stopped or idle.

Downloading ──▶ Starting ──answers──▶ Serving ──stop, idleness──▶ result
 volume, scripts, clones                └─ end of its own ──▶ failure
"""

import http.client
import logging
import math
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clary.compute.agent import failure, packages
from clary.compute.agent.execute import Executor
from clary.compute.agent.host import Host
from clary.compute.agent.notebooks import brake, home, lab, processor, scripts
from clary.compute.agent.programmes.serving import SOCKET_FOLDER, socket_folder
from clary.compute.agent.reports import Reporter
from clary.compute.agent.watch import Watch
from clary.compute.base import Outcome, Result, RunPhase
from clary.compute.runners.base import Exit, Program, Running
from clary.kernel.clock import epoch_ms
from clary.kernel.errors import CustomerError

STARTUP_S = 180.0
"""For the first answer of JupyterLab."""
LOOK_S = 30.0
IDLE = "IdleMinutes"
"""Metric of an instance: for how long nobody has used it."""
"""Between two looks at activity."""
WARNING_S = 300.0
"""That the log warns before the instance stops for idleness."""
STOP_GRACE_S = 20.0
STREAM = "jupyter.log"

log = logging.getLogger(__name__)


def run(host: Host, watch: Watch, reporter: Reporter) -> Result:
    """Run the instance on this host."""
    return NotebookRun(host, watch, reporter).run()


class NotebookRun:
    """One notebook instance, from its start to its stop."""

    def __init__(self, host: Host, watch: Watch, reporter: Reporter) -> None:
        self._host = host
        self._watch = watch
        self._reporter = reporter
        self._path = str(host.spec.request["Path"])
        self._address = str(socket_folder(host.home) / lab.SOCKET)
        self._ended = threading.Event()
        self._is_warned = False

    def run(self) -> Result:
        """Return how it ended."""
        host = self._host
        host.enter(RunPhase.DOWNLOADING)
        volume = home.furnish(host)
        found = packages.writable(host, packages.runtime("notebook_python"))
        variables = home.environment(host, found)
        binds = home.binds(host, volume, (str(Path(self._address).parent), SOCKET_FOLDER))
        common: dict[str, Any] = {"binds": binds, "ro_binds": found.ro_binds}
        before = scripts.Scripts(host, self._watch, self._reporter, variables, common)
        try:
            before.clone()
            before.lifecycle()
        except scripts.StartError as error:
            return host.result(Outcome.FAILED, reason=str(error))
        host.enter(RunPhase.STARTING)
        program = Program(argv=lab.command(host), environment=variables, directory=home.VOLUME, **common)
        Path(self._address).unlink(missing_ok=True)
        executor = Executor(host, self._watch, self._reporter, stream=STREAM)
        with executor.running(program) as (running, pump):
            ended = self._await(running)
            if ended is None:
                release = processor.hold(running.pid, host.spec.run_id, host.spec.size.cpus)
                host.enter(RunPhase.SERVING, self._address)
                given = (running.pid, volume)
                looking = threading.Thread(target=self._look, args=given, name="activity", daemon=True)
                looking.start()
                ending = self._watch.until_exit(running)
                self._ended.set()
                ended = ending.outcome or ending.exit
                release()
        if isinstance(ended, Outcome):
            return host.result(ended)
        if ended.is_out_of_memory:
            reason = failure.out_of_memory(host.spec, failure.of_exit(ended), pump.tail)
        else:
            lead = f"JupyterLab ended with {failure.of_exit(ended)}. Last lines: "
            reason = failure.clip(lead, failure.last_words(pump.tail or pump.last), "")
        return host.result(Outcome.FAILED, reason=reason, exit_code=ended.code, signal=ended.signal)

    def _await(self, running: Running) -> Exit | Outcome | None:
        """Wait for the first good answer; None when it came.

        Raises
        ------
        CustomerError
            It did not come in time.
        """
        until = time.monotonic() + STARTUP_S
        wrong = "nothing listens"
        while time.monotonic() < until:
            try:
                self._ask("api/status")
            except (OSError, ValueError, http.client.HTTPException) as error:
                wrong = str(error)
            else:
                return None
            if (exit_ := running.wait(0.05)) is not None:
                return exit_
            if self._watch.look() is not None:
                return self._watch.until_exit(running).outcome or Outcome.STOPPED
        raise CustomerError(f"JupyterLab did not answer within {STARTUP_S:.0f} s: {wrong}.")

    def _ask(self, path: str) -> Any:
        return lab.ask(self._address, f"{self._path}/{path}")

    def _look(self, pid: int, volume: Path) -> None:
        """Hold the instance to its volume; stop it once nobody uses it."""
        limit_s = 60.0 * float(self._host.spec.request.get("IdleMinutes") or 0)
        held, due = brake.Brake(volume, home.limit_bytes(self._host), self._say), LOOK_S
        while not self._ended.wait(held.pause_s):
            due -= held.pause_s
            try:
                held.look(pid)
                if due <= 0 and self._is_idle(limit_s):
                    self._host.ask_to_stop(STOP_GRACE_S)
                    return
                due = LOOK_S if due <= 0 else due
            except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                log.warning("the activity of JupyterLab is not known: %s", error)

    def _is_idle(self, limit_s: float) -> bool:
        """Tell whether nobody has used it for so long, 0 for ever; say so in the log, and before it is."""
        idle_s = lab.idle_s(self._ask, datetime.now(UTC))
        self._reporter.metric(IDLE, epoch_ms(), idle_s / 60)
        if not limit_s:
            return False
        left_s = limit_s - idle_s
        if left_s <= 0:
            self._say(f"Stopped: nothing was done here for {limit_s / 60:.0f} min.")
        elif left_s <= min(WARNING_S, limit_s / 2) and not self._is_warned:
            self._say(f"Nothing is done here: this instance stops in {math.ceil(left_s / 60)} min.")
        self._is_warned = left_s <= min(WARNING_S, limit_s / 2)
        return left_s <= 0

    def _say(self, text: str) -> None:
        self._reporter.log(epoch_ms(), f"[clary] {text}", STREAM)
