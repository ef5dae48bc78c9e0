"""Host agents on this machine: they outlive the platform, and the next start takes them over."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from clary.cli.supervisor import identity
from clary.compute import linux
from clary.kernel.settings import Settings

PAUSE_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Agent:
    """One live host agent."""

    run_id: str
    host: str
    kind: str
    """`training`, `serving` …, as in the run's spec."""
    name: str
    """Of the job or endpoint."""
    folder: Path
    pid: int
    since: str


def alive(settings: Settings) -> list[Agent]:
    """Return the agents that live now, of every account."""
    found = []
    for file in sorted(settings.runs_dir.glob("*/hosts/*/pid")):
        pid = linux.stamped(file)
        if pid is not None:
            run, host = file.parents[2], file.parent
            spec = _spec(run)
            found.append(
                Agent(
                    run_id=run.name,
                    host=host.name,
                    kind=str(spec.get("kind", "")),
                    name=str(spec.get("name", run.name)),
                    folder=host,
                    pid=pid,
                    since=identity.started(pid),
                )
            )
    return found


def ask_to_stop(agent: Agent, grace_s: float) -> None:
    """Ask an agent to stop its program, as the control plane does."""
    beside = agent.folder / "stop.json.clary-tmp"
    beside.write_text(json.dumps({"outcome": "stopped", "grace_s": grace_s}))
    beside.replace(agent.folder / "stop.json")


def end(agents: list[Agent], *, within_s: float, is_heard: bool) -> int:
    """Wait for agents that were asked to stop, kill the rest; return how many were killed.

    Parameters
    ----------
    is_heard : bool
        A control plane hears of their ends. Without one they would wait for it, but the next start reads
        their results.
    """
    n_killed = 0
    for each in agents:
        deadline = time.monotonic() + within_s
        result = each.folder / "result.json"
        while not identity.wait(each.pid, each.since, timeout_s=PAUSE_S):
            if time.monotonic() > deadline or (result.exists() and not is_heard):
                identity.end(each.pid, each.since, grace_s=PAUSE_S)
                n_killed += 1
                break
    return n_killed


def described(agents: list[Agent]) -> str:
    """Return how many of what there are: `1 job and 2 endpoint replicas`."""
    replicas = sum(1 for each in agents if each.kind == "serving")
    notebooks = sum(1 for each in agents if each.kind == "notebook")
    jobs = len({each.run_id for each in agents if each.kind not in {"serving", "notebook"}})
    counts = ((jobs, "job"), (replicas, "endpoint replica"), (notebooks, "notebook"))
    return " and ".join(f"{n} {name}{'s' if n != 1 else ''}" for n, name in counts if n)


def going_on(agents: list[Agent]) -> str:
    """Return the same as the start of a sentence: `1 job goes on`."""
    return f"{described(agents)} {'goes' if len({each.run_id for each in agents}) == 1 else 'go'} on"


def _spec(run: Path) -> dict[str, object]:
    try:
        document: dict[str, object] = json.loads((run / "spec.json").read_text())
        return document
    except (OSError, ValueError):
        return {}
