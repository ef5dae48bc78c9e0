"""The models of one multi-model replica: what is loaded, what is being loaded, who has to go.

absent ─first question─▶ loading ─▶ ready ─least recently asked, memory short─▶ leaving ─▶ absent
                            └─ the questions that wait for it are answered when it is ready, or has failed
"""

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clary.serving.handlers import base
from clary.serving.multi.supply import MissingError, Staged, Supply
from clary.serving.multi.workers import LoadDiedError, LoadError, Nursery, Worker, private_bytes
from clary.serving.replica import export

MIB = 1024 * 1024
LOADS = 4
"""Models that are brought in and loaded at a time; more wait for their turn."""
LEAST_BYTES = MIB // 4
"""That any model is held to take."""
WORKER_BYTES = 4 * MIB
"""That a process of its own is held to take, until it can be measured."""
SWEEP_S = 5.0
LEAVE_S = 5.0
"""That whoever needs the room waits for a model that still answers."""
LONGEST_S = 60.0
"""Of an invocation."""

INSUFFICIENT = 507
"""Status of a model for which there is no memory. Source: developer guide, "Build your own container for
multi-model endpoints": Load Model API."""


class FailedError(Exception):
    """A model cannot be asked."""

    def __init__(self, status: int, text: str, fault: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.fault = fault
        """Code of the service's own error; empty where it is the model's."""


@dataclass(eq=False)
class Slot:
    """One model, loaded or about to be."""

    name: str
    since: float
    """When it was first asked for."""
    waiting: list[Callable[["Slot | FailedError"], None]] = field(default_factory=list)
    is_ready: bool = False
    staged: Staged | None = None
    handler: base.Handler | None = None
    worker: Worker | None = None
    seat: str = ""
    """Name of the file of plain arrays, as a socket's; empty where there is none."""
    n_bytes: int = 0
    used: float = 0.0
    turn: "contextlib.AbstractContextManager[object]" = field(default_factory=contextlib.nullcontext)


class Models:
    """Loads and unloads.

    Parameters
    ----------
    folder : Path
        Where sockets and plain arrays go: the folder of the replica's own socket.
    most_bytes : int
        Memory for all models together.
    """

    def __init__(
        self,
        supply: Supply,
        nursery: Nursery,
        folder: Path,
        *,
        kind_of: Callable[[Path], str],
        name: str,
        environ: Mapping[str, str],
        most_bytes: int,
        is_cached: bool = True,
        in_place: bool = True,
    ) -> None:
        self._supply = supply
        self._nursery = nursery
        self._folder = folder
        self._kind_of = kind_of
        self._name = name
        self._environ = environ
        self._most_bytes = most_bytes
        self.is_cached = is_cached
        self._in_place = in_place and is_cached
        self._lock = threading.RLock()
        self._slots: dict[str, Slot] = {}
        self._n_seats = 0
        self._turns = threading.BoundedSemaphore(LOADS)
        self._measuring = threading.Lock()
        self._making_room = threading.Lock()
        self._n_told = -1

    def ask(self, name: str, wait: Callable[[Slot | FailedError], None]) -> Slot | None:
        """Return a model that is ready; else have it loaded and `wait` called then, and return None."""
        with self._lock:
            slot = self._slots.get(name)
            if slot is not None and slot.is_ready:
                slot.used = time.monotonic()
                return slot
            if slot is not None:
                slot.waiting.append(wait)
                return None
            slot = self._slots[name] = Slot(name, time.monotonic(), [wait])
        threading.Thread(target=self._load, args=(slot,), name=f"load {name}", daemon=True).start()
        return None

    def loaded(self) -> dict[str, int]:
        """Return the models that are ready, with what each takes."""
        with self._lock:
            return {slot.name: slot.n_bytes for slot in self._slots.values() if slot.is_ready}

    # Loading.

    def _load(self, slot: Slot) -> None:
        found: Slot | FailedError = slot
        try:
            with self._turns:
                self._bring_in(slot)
        except FailedError as error:
            found = error
        except BaseException as error:
            found = FailedError(500, f"{type(error).__name__}: {error}")
        with self._lock:
            waiting, slot.waiting = slot.waiting, []
            slot.used = time.monotonic()
            slot.is_ready = found is slot
            if found is not slot or not self.is_cached:
                self._slots.pop(slot.name, None)
        if found is slot:
            self._supply.tell({"ModelLoadingWaitTime": (time.monotonic() - slot.since) * 1e6})
        elif slot.staged is not None:
            self._supply.release(slot.staged.label)
        for each in waiting:
            with contextlib.suppress(OSError):
                each(found)
        if found is slot and not self.is_cached:
            self._leave(slot, ends_itself=True)

    def _bring_in(self, slot: Slot) -> None:
        begun = time.monotonic()
        try:
            slot.staged = self._supply.fetch(slot.name)
        except MissingError as error:
            raise FailedError(400, str(error), "ValidationError") from error
        fetched = time.monotonic()
        kind = self._kind_of(slot.staged.folder)
        least = WORKER_BYTES if kind == "script" else LEAST_BYTES
        expected = max(least, slot.staged.n_bytes)
        try:
            self._make_room(slot, expected)
            self._start(slot, kind)
        except LoadError as error:
            if not isinstance(error, LoadDiedError):
                raise FailedError(500, f"Failed to load model {slot.name}: {error}") from error
            if kind == "container":
                self._start_after_others(slot, error)
                return
            # it may have been memory: once more with half of it free
            self._make_room(slot, max(expected, self._most_bytes // 2))
            try:
                self._start(slot, kind)
            except LoadError as again:
                raise FailedError(INSUFFICIENT, f"Failed to load model {slot.name}: {again}") from again
        self._make_room(slot, slot.n_bytes)
        now = time.monotonic()
        self._supply.tell(
            {"ModelDownloadingTime": (fetched - begun) * 1e6, "ModelLoadingTime": (now - fetched) * 1e6}
        )

    def _start_after_others(self, slot: Slot, error: LoadError) -> None:
        """Unload models, who was asked longest ago first, until the container has room for this one."""
        while self._unload_one(slot):
            try:
                self._start(slot, "container")
            except LoadError as again:
                error = again
            else:
                return
        raise FailedError(INSUFFICIENT, f"Failed to load model {slot.name}: {error}") from error

    def _unload_one(self, newcomer: Slot) -> bool:
        """Unload who was asked longest ago; False where there is no other model."""
        with self._making_room:
            with self._lock:
                ready = [each for each in self._slots.values() if each is not newcomer and each.is_ready]
                if not ready:
                    return False
                victim = min(ready, key=self._last)
                del self._slots[victim.name]
            self._leave(victim)
        return True

    def _start(self, slot: Slot, kind: str) -> None:
        assert slot.staged is not None
        folder = slot.staged.folder
        if kind == "script":
            slot.worker = self._nursery.fork(kind, self._name, folder, once=not self.is_cached)
            slot.n_bytes = max(LEAST_BYTES, slot.worker.private_bytes() or WORKER_BYTES)
            threading.Thread(target=self._follow, args=(slot,), daemon=True).start()
            return
        with self._measuring:
            before = private_bytes()
            try:
                slot.handler = base.load(kind, self._name, folder, self._environ)
            except MemoryError as error:
                raise LoadDiedError("out of memory") from error
            except Exception as error:
                raise FailedError(500, f"Failed to load model {slot.name}: {error}") from error
            taken = private_bytes() - before
        slot.n_bytes = max(LEAST_BYTES, slot.staged.n_bytes, taken)
        if not slot.handler.is_concurrent:
            slot.turn = threading.Lock()
        if self._in_place:
            with self._lock:
                self._n_seats += 1
                seat = f"p{self._n_seats}.sock"
            path = (self._folder / seat).with_suffix(".flat")
            export(slot.handler, path)
            slot.seat = seat if path.exists() else ""

    # Unloading.

    def _make_room(self, newcomer: Slot, n_bytes: int) -> None:
        """Unload who was asked longest ago until `n_bytes` more fit.

        Raises
        ------
        FailedError
            They do not, with no other model left; the status is the container contract's.
        """
        if n_bytes > self._most_bytes:
            self._drop(newcomer)
            text = (
                f"Failed to load model {newcomer.name}: it takes {n_bytes // MIB} MiB, and there are "
                f"{self._most_bytes // MIB} MiB for models."
            )
            raise FailedError(INSUFFICIENT, text)
        with self._making_room:
            while True:
                with self._lock:
                    others = [each for each in self._slots.values() if each is not newcomer]
                    ready = [each for each in others if each.is_ready]
                    if sum(each.n_bytes for each in others) + n_bytes <= self._most_bytes or not ready:
                        newcomer.n_bytes = n_bytes
                        return
                    victim = min(ready, key=self._last)
                    del self._slots[victim.name]
                self._leave(victim)

    def _last(self, slot: Slot) -> float:
        """Return when a model was last asked; edges ask workers without the host."""
        if slot.worker is None:
            return slot.used
        return max(slot.used, self._nursery.stamps.times[slot.worker.place])

    def _leave(self, slot: Slot, *, ends_itself: bool = False) -> None:
        """Unload a model that nobody finds any more; it answers what it was asked."""
        begun = time.monotonic()
        if slot.worker is not None:
            if not (ends_itself and slot.worker.gone.wait(LONGEST_S)):
                slot.worker.signal(signal.SIGTERM)
            slot.worker.gone.wait(LEAVE_S)
        if slot.seat:
            (self._folder / slot.seat).with_suffix(".flat").unlink(missing_ok=True)
        unload = getattr(slot.handler, "unload", None)
        was_here, slot.handler = slot.handler is not None, None
        if unload is not None:
            unload()
        if was_here:
            _trim()
        if slot.staged is not None:
            self._supply.release(slot.staged.label)
        self._supply.tell({"ModelUnloadingTime": (time.monotonic() - begun) * 1e6})

    def _drop(self, slot: Slot) -> None:
        if slot.worker is not None:
            slot.worker.signal(signal.SIGKILL)
        slot.worker = slot.handler = None

    def _follow(self, slot: Slot) -> None:
        """Hear of the end of a worker, whatever ended it: its model is loaded no longer."""
        assert slot.worker is not None
        slot.worker.gone.wait()
        with self._lock:
            lost = self._slots.get(slot.name) is slot and slot.is_ready
            if lost:
                del self._slots[slot.name]
        if lost and slot.staged is not None:
            self._supply.release(slot.staged.label)

    def sweep(self) -> None:
        """Measure what grew, unload what is too much, tell how many there are; for a thread of its own."""
        while True:
            with self._lock:
                workers = [each for each in self._slots.values() if each.is_ready and each.worker is not None]
            for each in workers:
                if each.worker is not None:
                    each.n_bytes = max(LEAST_BYTES, each.worker.private_bytes() or each.n_bytes)
            with contextlib.suppress(FailedError):
                self._make_room(Slot("", 0.0), 0)
            n = len(self.loaded())
            if n != self._n_told:
                self._n_told = n
                self._supply.tell({"LoadedModelCount": float(n)})
            time.sleep(SWEEP_S)


def _trim() -> None:
    """Give freed memory back to the system, where the C library can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def limit_bytes(size_mib: int, share: float = 0.8) -> int:
    """Return the memory for models of an instance, beside what the process itself takes."""
    return max(64 * MIB, int(size_mib * MIB * share) - private_bytes(os.getpid()))
