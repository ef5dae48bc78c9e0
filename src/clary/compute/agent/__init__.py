"""The host agent: one small process per instance of a job, from its data to its result.

home/ ── spec of the run, lock ─▶ programme (training, serving) ─▶ result.json ─▶ last report
          stop.json, SIGTERM ──────────┘   └─ phases, log lines, metrics ─▶ POST {report_url}/{host}/reports

It outlives the control plane, and asks it for nothing: what it needs stands in the run's `spec.json`.
"""

import os
from pathlib import Path

from clary.compute import launcher
from clary.compute.agent import execute, faults
from clary.compute.agent.host import AlreadyRunningError, Host
from clary.compute.agent.reports import Reporter
from clary.compute.agent.watch import Watch
from clary.compute.base import Result
from clary.kernel.registry import member


def main(home: Path) -> int:
    """Run one host from beginning to end.

    Parameters
    ----------
    home : Path
        The host's folder, `<runs>/<run id>/hosts/<host>`; `spec.json` lies two levels above.

    Returns
    -------
    int
        0, also where another agent has the host already: how the job ended stands in `result.json`. 1 where
        nobody heard how it ended; this process should end then, which is news too.
    """
    os.umask(0o022)  # of the zygote's forks; the control plane, which stands in for it, keeps all to itself
    launcher.prepare()  # first of all: what forks off it later must know nothing of this run's secrets
    try:
        host = Host.open(Path(home))
    except AlreadyRunningError:
        return 0
    with host:
        if host.has_result:
            host.leave()
            return 0
        watch = Watch(host)
        reporter = Reporter(host.spec.report_url, host.name, host.spec.token)
        host.listeners.append(reporter.phase)
        reporter.start()
        result = _run(host, watch, reporter)
        host.publish(result)
        is_heard = reporter.close(result)
        if is_heard:
            execute.hand_back()
            host.leave()
    return 0 if is_heard else 1


def _run(host: Host, watch: Watch, reporter: Reporter) -> Result:
    try:
        programme = member(f"{__name__}.programmes", host.spec.kind.value)
        result: Result = programme.run(host, watch, reporter)
    except Exception as error:
        return faults.result_of(host, error)
    return result
