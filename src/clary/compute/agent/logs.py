"""Log lines: what a program writes, cut into lines as it is written."""

import contextlib
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable

from clary.kernel.clock import epoch_ms

LONGEST_LINE_BYTES = 256 * 1024
"""Longer lines are split. Source: CloudWatch Logs quotas, event size."""
QUIET_S = 0.05
"""An unfinished line is sent when nothing has followed for so long."""
NAP_S = 0.005
"""After a read: what a chatty program writes meanwhile is read at once, not line by line."""
TAIL_LINES = 200
_READ_BYTES = 1 << 18

Sink = Callable[[int, str], None]
"""Takes a line: milliseconds since 1970, text without its end."""


class _Stream:
    def __init__(self, descriptor: int, tail: deque[str]) -> None:
        self.descriptor = descriptor
        self.held = b""
        self.tail = tail


class Pump:
    """Reads the two streams of one program until both have ended.

    `stdout` and `stderr` are descriptors for the program; `close_own` drops this process's after the start.
    """

    def __init__(self, sink: Sink) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        """Last lines of `stderr`."""
        self.last: deque[str] = deque(maxlen=TAIL_LINES)
        """Last lines of `stdout`."""
        self._sink = sink
        read_out, self.stdout = os.pipe()
        read_err, self.stderr = os.pipe()
        self._streams = [_Stream(read_out, self.last), _Stream(read_err, self.tail)]
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def close_own(self) -> None:
        """Drop the writing ends: from now on only the program has them."""
        for descriptor in (self.stdout, self.stderr):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.stdout = self.stderr = -1

    def finish(self, within_s: float = 10.0) -> None:
        """Wait until everything that was written has been read; the program must have ended."""
        self.close_own()
        self._thread.join(within_s)
        if self._thread.is_alive():
            os.write(self._wake_write, b"x")
            self._thread.join()
        for descriptor in (self._wake_read, self._wake_write):
            os.close(descriptor)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for stream in self._streams:
                selector.register(stream.descriptor, selectors.EVENT_READ, stream)
            selector.register(self._wake_read, selectors.EVENT_READ, None)
            left = list(self._streams)
            while left:
                ready = selector.select(QUIET_S if any(stream.held for stream in left) else None)
                if any(key.data is None for key, _ in ready):
                    break
                if not ready:
                    for stream in left:
                        self._flush(stream)
                for key, _ in ready:
                    stream = key.data
                    if not self._read(stream):
                        selector.unregister(stream.descriptor)
                        left.remove(stream)
                if left and ready:
                    time.sleep(NAP_S)
        for stream in self._streams:
            self._flush(stream)
            os.close(stream.descriptor)

    def _read(self, stream: _Stream) -> bool:
        chunk = os.read(stream.descriptor, _READ_BYTES)
        if not chunk:
            return False
        now = epoch_ms()
        *lines, stream.held = (stream.held + chunk).split(b"\n")
        for line in lines:
            self._emit(stream, now, line)
        while len(stream.held) > LONGEST_LINE_BYTES:
            self._emit(stream, now, stream.held[:LONGEST_LINE_BYTES])
            stream.held = stream.held[LONGEST_LINE_BYTES:]
        return True

    def _flush(self, stream: _Stream) -> None:
        if stream.held:
            held, stream.held = stream.held, b""
            self._emit(stream, epoch_ms(), held)

    def _emit(self, stream: _Stream, now: int, line: bytes) -> None:
        while True:
            text = line[:LONGEST_LINE_BYTES].decode(errors="replace").rstrip("\r")
            line = line[LONGEST_LINE_BYTES:]
            if text:  # CloudWatch takes no empty event
                stream.tail.append(text)
                self._sink(now, text)
            if not line:
                return
