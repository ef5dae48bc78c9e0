"""A tiny host agent for the placement suite: runs `request["argv"]`, obeys `stop.json`, writes its result.

It keeps the contract of the real one (folder, lock, pid, result by rename) without data, logs or reports.
"""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

from clary.compute import launcher, linux
from clary.compute.base import Outcome, Result, RunPhase, RunSpec
from clary.compute.run import replace_json
from clary.compute.runners.base import Exit, Program
from clary.compute.runners.process import ProcessRunner
from clary.kernel.settings import Settings


def main(home: Path) -> int:
    """Run one host."""
    launcher.prepare()
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        (home / "pid").write_text(linux.stamp(os.getpid()))
        with (home / "starts").open("a") as starts:
            starts.write("started\n")
        spec = RunSpec.from_json(json.loads((home.parent.parent / "spec.json").read_text()))
        result = _run(home, spec)
        replace_json(home / "result.json", result.to_json())
    return 0


def _run(home: Path, spec: RunSpec) -> Result:
    program = Program(
        argv=tuple(spec.request["argv"]),
        environment=dict(spec.environment),
        network=bool(spec.request.get("network", True)),
    )
    with (home / "stdout").open("wb") as stdout:
        running = ProcessRunner(Settings.load()).start(
            home, spec, home.name, program, stdout=stdout.fileno(), stderr=stdout.fileno()
        )
        replace_json(home / "state.json", {"phase": RunPhase.TRAINING.value, "address": None})
        outcome: Outcome | None = None
        kill_at = float("inf")
        while (end := running.wait(0.02)) is None:
            stop = home / "stop.json"
            if outcome is None and stop.exists():
                asked = json.loads(stop.read_text())
                outcome, kill_at = Outcome(asked["outcome"]), time.monotonic() + asked["grace_s"]
                running.signal(signal.SIGTERM)
            if time.monotonic() > kill_at:
                running.kill()
    return _result(end, outcome)


def _result(end: Exit, outcome: Outcome | None) -> Result:
    if outcome is None:
        outcome = Outcome.SUCCEEDED if end.code == 0 else Outcome.FAILED
    reason = "out of memory" if end.is_out_of_memory else ""
    return Result(outcome=outcome, exit_code=end.code, signal=end.signal, reason=reason)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
