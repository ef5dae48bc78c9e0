"""Several hosts that train one model.

    algo-2 ──report──▶ algo-1: gathers reports, starts XGBoost's tracker, answers with both
           ◀─────────
    all hosts join the tracker's communicator, and train

The meeting is ours and not the tracker's own, because a tracker cannot take a port that it had a minute ago,
as after a spot interruption, and because a host that cannot read its data must be able to say so.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from xgboost import collective
from xgboost.core import XGBoostError
from xgboost.tracker import RabitTracker

from clary.algorithms.xgboost._library import plain
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.algorithms.base import Training

MEETING_S = 900.0
"""How long a host waits for the others. Source: open `sagemaker-xgboost-container`, distributed.py."""
_RETRY_S = 0.05
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Report:
    """How it stands on one host."""

    host: str
    n_rows: int = 0
    n_columns: int = 0
    fault: str = ""
    """Why this host cannot train; empty if it can."""


def port_of(name: str) -> int:
    """Return the port of the meeting: by the job's name, as jobs of one machine may share its network."""
    return 9099 + zlib.crc32(name.encode()) % 20_000


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
    leader = min(training.hosts)
    deadline = time.monotonic() + MEETING_S
    address = _address(leader, deadline)
    place = (address, port_of(training.name))
    tracker = None
    if training.host == leader:
        reports, tracker = _gather(place, report, training.hosts, deadline)
        port = tracker.worker_args()["dmlc_tracker_port"] if tracker is not None else 0
    else:
        reports, port = _attend(place, report, deadline)
    try:
        _check(reports)
        collective.init(
            dmlc_communicator="rabit",
            dmlc_tracker_uri=address,
            dmlc_tracker_port=int(port),
            dmlc_task_id=f"{sorted(training.hosts).index(training.host):06d}",
        )
        try:
            yield reports
        finally:
            with contextlib.suppress(XGBoostError):
                collective.finalize()
    except XGBoostError as error:
        raise CustomerError(f"Training on {len(training.hosts)} hosts failed: {plain(error)}") from error
    finally:
        if tracker is not None:
            with contextlib.suppress(XGBoostError, ValueError):
                tracker.wait_for(timeout=5)
            tracker.free()


def _check(reports: list[Report]) -> None:
    for report in reports:
        if report.fault:
            raise CustomerError(f"{report.fault} (on host {report.host})")
    if not any(report.n_rows for report in reports):
        raise CustomerError("No data in training channel on any host")


def _gather(
    place: tuple[str, int], own: Report, hosts: tuple[str, ...], deadline: float
) -> tuple[list[Report], RabitTracker | None]:
    """Take every host's report, start the tracker if all can train, answer all of them."""
    reports, lines = {own.host: own}, []
    with contextlib.ExitStack() as stack, socket.create_server(place, reuse_port=False) as door:
        while len(reports) < len(hosts):
            door.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                line = stack.enter_context(door.accept()[0])
                line.settimeout(max(0.01, deadline - time.monotonic()))
                report = Report(**_receive(line))
            except TimeoutError as error:
                missing = ", ".join(sorted(set(hosts) - set(reports)))
                raise CustomerError(f"Hosts {missing} did not report within {MEETING_S:.0f} s") from error
            except (OSError, ValueError, TypeError):
                continue  # a caller that is none of ours, or that died: its host may call again
            if report.host in hosts:
                reports[report.host] = report
                lines.append(line)
        found = [reports[host] for host in sorted(reports)]
        tracker = None
        if not any(report.fault for report in found) and any(report.n_rows for report in found):
            tracker = RabitTracker(n_workers=len(hosts), host_ip=place[0], port=0, sortby="task")
            tracker.start()
        port = tracker.worker_args()["dmlc_tracker_port"] if tracker is not None else 0
        answer = json.dumps({"reports": [asdict(report) for report in found], "port": port}).encode() + b"\n"
        for line in lines:
            with contextlib.suppress(OSError):
                line.sendall(answer)
    return found, tracker


def _attend(place: tuple[str, int], own: Report, deadline: float) -> tuple[list[Report], int]:
    """Report to the leader, as soon as it listens, and wait for its answer."""
    while True:
        try:
            with socket.create_connection(place, timeout=max(0.01, deadline - time.monotonic())) as line:
                line.sendall(json.dumps(asdict(own)).encode() + b"\n")
                answer = _receive(line)
                return [Report(**report) for report in answer["reports"]], int(answer["port"])
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline:
                raise CustomerError(
                    f"This host did not meet the others at {place[0]}:{place[1]}: {error}"
                ) from error
            time.sleep(_RETRY_S)


def _receive(line: socket.socket) -> dict[str, Any]:
    received = b""
    while not received.endswith(b"\n"):
        chunk = line.recv(65536)
        received += chunk
        if not chunk or len(received) > _LONGEST_LINE:
            raise ValueError("the line ended early")
    document = json.loads(received)
    if not isinstance(document, dict):
        raise ValueError("not an object")
    return document


def _address(host: str, deadline: float) -> str:
    while True:
        try:
            return socket.gethostbyname(host)
        except OSError as error:
            if time.monotonic() > deadline:
                raise CustomerError(f"The name of host {host} does not resolve: {error}") from error
            time.sleep(_RETRY_S)
