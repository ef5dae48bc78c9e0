"""Several hosts that train one model.

All tell each other how they stand; the first starts XGBoost's tracker and tells where; all join the tracker's
communicator, and train.

The meeting is ours and not the tracker's own, because a tracker cannot take a port that it had a minute ago,
as after a spot interruption, and because a host that cannot read its data must be able to say so.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from xgboost import collective
from xgboost.core import XGBoostError
from xgboost.tracker import RabitTracker

from clary.algorithms import _hosts, _meeting
from clary.algorithms.xgboost._library import plain
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.algorithms._hosts import Hosts
    from clary.algorithms.base import Training


@dataclass(frozen=True)
class Report:
    """How it stands on one host."""

    host: str
    n_rows: int = 0
    n_columns: int = 0
    fault: str = ""
    """Why this host cannot train; empty if it can."""


@contextlib.contextmanager
def joined(training: Training, report: Report) -> Iterator[list[Report]]:
    """Meet the other hosts and join their communicator; yields every host's report.

    Raises
    ------
    CustomerError
        The hosts did not find each other, or one of them cannot train.
    """
    if len(training.hosts) == 1:
        yield [report]
        return
    with _hosts.joined(training) as hosts, contextlib.ExitStack() as stack:
        reports = [Report(**json.loads(said)) for said in hosts.gather(json.dumps(asdict(report)).encode())]
        _check(reports)
        try:
            _communicate(hosts, reports, stack)
            yield reports
        except XGBoostError as error:
            raise CustomerError(f"Training on {hosts.n_hosts} hosts failed: {plain(error)}") from error


def _communicate(hosts: Hosts, reports: list[Report], stack: contextlib.ExitStack) -> None:
    address = _meeting.address_of(reports[0].host, time.monotonic() + _meeting.MEETING_S)
    port = 0
    if hosts.is_first:
        tracker = RabitTracker(n_workers=hosts.n_hosts, host_ip=address, port=0, sortby="task")
        stack.callback(_end, tracker)
        tracker.start()
        port = int(tracker.worker_args()["dmlc_tracker_port"])
    port = int(hosts.gather(str(port).encode())[0])
    collective.init(
        dmlc_communicator="rabit",
        dmlc_tracker_uri=address,
        dmlc_tracker_port=port,
        dmlc_task_id=f"{hosts.rank:06d}",
    )
    stack.callback(_leave)


def _leave() -> None:
    with contextlib.suppress(XGBoostError):
        collective.finalize()


def _end(tracker: RabitTracker) -> None:
    with contextlib.suppress(XGBoostError, ValueError):
        tracker.wait_for(timeout=5)
    tracker.free()


def _check(reports: list[Report]) -> None:
    for report in reports:
        if report.fault:
            raise CustomerError(f"{report.fault} (on host {report.host})")
    if not any(report.n_rows for report in reports):
        raise CustomerError("No data in training channel on any host")
