"""Reports: what a host tells the control plane, in order, each once however often it must be sent.

phase, log, metric ──▶ pending ──one thread──▶ POST {url}/{host}/reports {"seq": n, …} ──2xx──▶ next
"""

import http.client
import json
import logging
import threading
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from clary.compute.base import Result, RunPhase

LINGER_S = 0.01
"""Lines that follow a first one within this time go with it."""
PHASE_LINGER_S = 0.05
"""A phase alone waits longer: that of a small download is over before."""
PACE_S = 0.1
"""Reports follow each other at most this often, but for an address and the end: one costs the control plane
as much as a hundred lines, and a phase moves its job's machine."""
BATCH_LINES = 2_000
BATCH_BYTES = 1 << 20
PENDING_LINES = 200_000
"""Lines that wait for an absent control plane; older ones are dropped, and their number is said."""
PATIENCE_S = 600.0
"""How long the last report is tried."""
SILENCE_S = 30.0
"""How long one answer may take."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_TRY_AGAIN = frozenset({408, 425, 429})

_Line = tuple[int, str] | tuple[int, str, str]
"""Milliseconds, text, and the stream where it is not the host's own."""

log = logging.getLogger(__name__)


class Reporter:
    """Sends one host's reports.

    Promises
    --------
    - Every report is sent until it is answered with 2xx, or refused for good (4xx): the order is kept.
    - Nothing here waits for the control plane but `close`, and that at most `PATIENCE_S`.
    - Methods may be called from any thread.
    """

    def __init__(self, url: str, host: str, token: str) -> None:
        self._url = urlsplit(f"{url}/{host}/reports")
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self._seq = 0
        self._logs: deque[_Line] = deque()
        self._metrics: deque[tuple[str, int, float]] = deque()
        self._phase: tuple[str, str | None] | None = None
        self._result: Result | None = None
        self._n_dropped = 0
        self._is_heard = False
        self._ends_at = float("inf")
        self._changed = threading.Condition()
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def log(self, ms: int, text: str, stream: str = "") -> None:
        """Take a log line, of the host's own stream or of one below it."""
        with self._changed:
            if len(self._logs) >= PENDING_LINES:
                self._logs.popleft()
                self._n_dropped += 1
            self._logs.append((ms, text, stream) if stream else (ms, text))
            self._changed.notify()

    def metric(self, name: str, ms: int, value: float) -> None:
        """Take a metric's value."""
        with self._changed:
            self._metrics.append((name, ms, value))
            self._changed.notify()

    def phase(self, phase: RunPhase, address: str | None = None) -> None:
        """Take a phase; one that was not sent yet is replaced."""
        with self._changed:
            self._phase = (phase.value, address)
            self._changed.notify()

    def close(self, result: Result) -> bool:
        """Send what is left, and the result with the last of it; say whether that was heard."""
        with self._changed:
            self._result = result
            self._ends_at = time.monotonic() + PATIENCE_S
            self._changed.notify()
        self._thread.join()
        return self._is_heard

    def _run(self) -> None:
        sent_at = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(self._has_news)
                if not self._is_urgent():
                    has_words = bool(self._logs or self._metrics)
                    linger_s = max(
                        LINGER_S if has_words else PHASE_LINGER_S, sent_at + PACE_S - time.monotonic()
                    )
                    self._changed.wait_for(self._is_urgent, linger_s)
                report = self._take()
                sent_at = time.monotonic()
            self._is_heard = self._deliver(report)
            if not self._is_heard or report["result"] is not None:
                break
        if self._connection is not None:
            self._connection.close()

    def _has_news(self) -> bool:
        return bool(self._logs or self._metrics or self._phase or self._is_urgent())

    def _is_urgent(self) -> bool:
        is_reachable = self._phase is not None and self._phase[1] is not None
        return is_reachable or self._result is not None or len(self._logs) >= BATCH_LINES

    def _take(self) -> dict[str, Any]:
        """Return the next report; the result goes with the last lines only."""
        self._seq += 1
        logs: list[_Line] = []
        if self._n_dropped and self._logs:
            lost = f"[clary] {self._n_dropped} lines were dropped while the control plane was away"
            logs.append((self._logs[0][0], lost))
            self._n_dropped = 0
        size = 0
        while self._logs and len(logs) < BATCH_LINES and size < BATCH_BYTES:
            logs.append(self._logs.popleft())
            size += len(logs[-1][1])
        metrics = [self._metrics.popleft() for _ in range(min(BATCH_LINES, len(self._metrics)))]
        phase, address = self._phase or (None, None)
        self._phase = None
        is_last = self._result is not None and not self._logs and not self._metrics
        return {
            "seq": self._seq,
            "phase": phase,
            "address": address,
            "logs": logs,
            "metrics": metrics,
            "result": self._result.to_json() if is_last and self._result is not None else None,
        }

    def _deliver(self, report: dict[str, Any]) -> bool:
        """Send until it arrives; False when patience has ended."""
        body = json.dumps(report, separators=(",", ":")).encode()
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                status = self._post(body)
            except (OSError, http.client.HTTPException) as error:
                status = 0
                log.debug("report %d: %s", report["seq"], error)
                self._hang_up()
            if 200 <= status < 300:
                return True
            if 400 <= status < 500 and status not in _TRY_AGAIN:
                log.warning("report %d was refused: HTTP %d", report["seq"], status)
                return True
            with self._changed:
                left = self._ends_at - time.monotonic()
                if left <= 0:
                    log.error("report %d was given up", report["seq"])
                    return False
            time.sleep(min(pause_s, left))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _post(self, body: bytes) -> int:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(self._url.netloc, timeout=SILENCE_S)
        self._connection.request("POST", self._url.path, body, self._headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.will_close:
            self._hang_up()
        return answer.status

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
