"""Asking a built-in model: blocks of shared memory, scored in the sandbox by `algorithms/_transform.py`."""

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from clary.compute.agent.batch.base import ModelGoneError, PayloadError
from clary.compute.agent.batch.plan import Plan
from clary.toolkit.transform import split
from clary.toolkit.transform.blocks import Line, Slots
from clary.toolkit.transform.columns import Compiled

PROGRAM = "clary.algorithms._transform:main"
SHARED_BYTES = 192 << 20
"""Of all slots together, at most; two there always are."""
UNLIMITED_BYTES = 64 * split.MIB
"""A slot's length where payloads may have any."""


class DirectModel:
    """A built-in model in its sandbox.

    Parameters
    ----------
    connection : socket
        The program's, which it has just made.
    threads : int
        Payloads that it scores at once.
    compiled : Compiled, optional
        Reads CSV here and into the slots, where the program says that its model's rows may be read so.
    """

    def __init__(
        self, connection: socket.socket, plan: Plan, threads: int, compiled: Compiled | None = None
    ) -> None:
        self.takes_stretches = plan.limit_bytes > 0
        self._compiled = compiled
        self._n_columns = 0
        self._line = Line(connection)
        slot_bytes = plan.limit_bytes or UNLIMITED_BYTES
        n_slots = max(2, min(threads + 2, SHARED_BYTES // slot_bytes))
        self._slots, descriptor = Slots.make(n_slots, slot_bytes)
        header = {"n_slots": n_slots, "slot_bytes": self._slots.slot_bytes}
        try:
            self._line.introduce(descriptor, header)
        finally:
            os.close(descriptor)
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(n_slots):
            self._free.put(slot)
        self._asked: dict[int, Future[bytes]] = {}
        self._lock = threading.Lock()
        self._is_gone = False
        self._thread = threading.Thread(target=self._listen, name="answers", daemon=True)
        self._thread.start()

    def ask(self, payload: bytes) -> "Future[bytes]":
        """Put the payload into a slot and say so; waits for a free one."""
        future: Future[bytes] = Future()
        if len(payload) > self._slots.slot_bytes:
            future.set_exception(PayloadError(413, split.too_large(self._slots.slot_bytes)))
            return future
        slot = self._free.get()
        with self._lock:
            if self._is_gone:
                self._free.put(slot)
                raise ModelGoneError
            self._asked[slot] = future
        told = {"slot": slot, **self._filled(slot, payload)}
        try:
            with self._lock:
                self._line.send(told)
        except OSError as error:
            raise ModelGoneError from error
        return future

    def _filled(self, slot: int, payload: bytes) -> dict[str, int]:
        """Fill a slot, with rows where they can be read here; return what it holds."""
        if self._compiled is not None and self._n_columns:
            n_rows = self._compiled.read(
                payload, self._n_columns, self._slots.part(slot, self._slots.slot_bytes)
            )
            if n_rows:
                return {"length": n_rows * self._n_columns * 4, "n_rows": n_rows}
        self._slots.write(slot, payload)
        return {"length": len(payload)}

    def close(self) -> None:
        """Hang up, which ends the program."""
        self._line.close()
        self._thread.join()
        self._slots.close()

    def _listen(self) -> None:
        try:
            while True:
                told = self._line.receive()
                if "slot" not in told:  # its first words
                    self._n_columns = told["n_columns"]
                    continue
                slot, length = told["slot"], told["length"]
                body = self._line.read(length) if told["follows"] else bytes(self._slots.part(slot, length))
                with self._lock:
                    future = self._asked.pop(slot)
                self._free.put(slot)
                if 0 < told["status"] < 400:
                    future.set_result(body)
                else:
                    message = body.decode("utf-8", "replace")
                    future.set_exception(PayloadError(told["status"], message))
        except (EOFError, OSError, ValueError, KeyError):
            pass
        with self._lock:
            self._is_gone = True
            left, self._asked = self._asked, {}
        for future in left.values():
            future.set_exception(ModelGoneError())
        for _ in range(self._slots.n_slots):
            self._free.put(0)  # whoever waits for a slot learns that there is nobody to fill it for


@contextlib.contextmanager
def door(path: Path) -> Iterator[socket.socket]:
    """Listen at `path` for the program, which runs as another user."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        path.chmod(0o666)  # the folder is this run's own
        listening.listen(1)
        yield listening
