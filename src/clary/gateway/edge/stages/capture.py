"""Data capture: a sample of the invocations, with their answers, to a spool that the control plane empties.

told ─▶ queue, in memory ──a thread, once a second──▶ spool/*.part ──renamed──▶ *.ready
"""

import logging
import os
import random
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar

from clary.gateway.edge.legs import Leg, Routed
from clary.gateway.edge.stages.base import Part, Reply, Site
from clary.kernel import ids
from clary.serving.capture import PART, READY, Captured

if TYPE_CHECKING:
    from clary.gateway.edge.invocation import Invocation

FLUSH_S = 1.0
FIRST_SPOOL_S, LONGEST_SPOOL_S = 2.0, 60.0
"""After which a spool is given up for upload: soon after a rest, later while invocations keep coming."""
SPOOL_BYTES = 16 << 20
QUEUE_BYTES = 64 << 20
"""That may wait in memory; what comes above it is left out, and counted in the log."""

Item = tuple[Captured, bytes, bytes]
_LOG = logging.getLogger(__name__)


class Capture:
    """The stage of one edge."""

    name: ClassVar[str] = "capture"

    def __init__(self) -> None:
        self._draw = random.random
        self._queue: deque[Item] = deque()
        self._n_bytes = 0
        self._n_dropped = 0
        self._awake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._spool: Spool | None = None

    def wants(self, leg: Leg, _routed: Routed) -> Part:
        """Want the answers of variants whose invocations are captured."""
        return Part.TELL if leg.document.get("capture") else Part.NOTHING

    def ask(self, _one: "Invocation") -> bool:
        """Let it go on."""
        return True

    def told(self, one: "Invocation", reply: Reply) -> None:
        """Keep an invocation that was answered well, if it is drawn."""
        terms = one.leg.document["capture"]
        if reply.status >= 400 or self._draw() * 100 >= terms["percent"]:
            return
        question = one.body if "Input" in terms["modes"] else b""
        answer = reply.body if "Output" in terms["modes"] else b""
        size = len(question) + len(answer)
        if self._n_bytes + size > QUEUE_BYTES:
            self._n_dropped += 1
            return
        key, fields = one.leg.key, one.exchange.head.fields
        captured = Captured(
            home=(key.account, terms["uri"], key.endpoint, key.variant),
            ms=int(time.time() * 1000),
            event_id=one.request_id,
            modes=tuple(terms["modes"]),
            csv=tuple(terms["csv"]),
            json=tuple(terms["json"]),
            asked_type=fields.get("content-type", ""),
            answered_type=reply.content_type,
            inference_id=fields.get("x-amzn-sagemaker-inference-id", ""),
            attributes=fields.get("x-amzn-sagemaker-custom-attributes", ""),
            n_asked=len(question),
        )
        self._n_bytes += size
        self._queue.append((captured, question, answer))
        if self._spool is None:
            self._spool = Spool(Path(terms["spool"]))
            self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
            self._thread.start()

    def sweep(self, _now: float) -> None:
        """Wake the thread where there is something, or a spool is open."""
        if self._spool is not None:
            self._awake.set()
        if self._n_dropped:
            _LOG.warning("%d invocations were not captured: the disk is too slow", self._n_dropped)
            self._n_dropped = 0

    def close(self) -> None:
        """Write down what is left."""
        self._closing = True
        self._awake.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._closing:
            self._awake.wait(FLUSH_S * 2)
            self._awake.clear()
            self._write()
        self._write()
        if self._spool is not None:
            self._spool.end()

    def _write(self) -> None:
        """Move the queue to the spool; a disk that fails loses what it was given, and no answer."""
        spool = self._spool
        if spool is None:
            return
        try:
            while self._queue:
                captured, question, answer = self._queue.popleft()
                self._n_bytes -= len(question) + len(answer)
                spool.write(captured.packed(question, answer))
            spool.turn()
        except (OSError, ValueError) as error:
            _LOG.error("captured invocations are lost: %s", error)
            spool.drop()


class Spool:
    """The file that is being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder
        self._file: IO[bytes] | None = None
        self._since = 0.0
        self._n_bytes = 0
        self._patience_s = FIRST_SPOOL_S

    def write(self, frame: bytes) -> None:
        """Write one invocation."""
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            now = time.monotonic()
            rested = now - self._since > 2 * LONGEST_SPOOL_S
            self._patience_s = FIRST_SPOOL_S if rested else min(LONGEST_SPOOL_S, self._patience_s * 2)
            self._path = self._folder / f"{os.getpid()}-{ids.short()}{PART}"
            self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
            self._since, self._n_bytes = now, 0
        self._file.write(frame)
        self._n_bytes += len(frame)

    def turn(self) -> None:
        """Give the file up for upload, if it is long or old enough."""
        if self._file is None:
            return
        self._file.flush()
        if self._n_bytes >= SPOOL_BYTES or time.monotonic() - self._since >= self._patience_s:
            self.end()

    def end(self) -> None:
        """Give the file up for upload."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
            self._path.rename(self._path.with_suffix(READY))

    def drop(self) -> None:
        """Let go of a file that cannot be written."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def make(_site: Site) -> Capture:
    """Return the stage of one edge."""
    return Capture()
