"""A process for each model that brings code of its own, forked where everything heavy is imported already.

    host ──order──▶ nursery ──fork──▶ worker: one model, one socket ◀══frames══ edge
      └──────────◀──leash───────────────┘   it ends with its leash, and the leash with it

The nursery has one thread and is forked before the host has a second one, so that forks are safe.
"""

import contextlib
import importlib
import json
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clary.kernel.errors import CustomerError
from clary.serving.frames import Frame
from clary.serving.handlers import base
from clary.serving.replica import Replica

MOST_WORKERS = 4096
LEASH = "leash.sock"
FORK_S = 60.0
"""Longest from an order to the worker's first word."""
_HEAVY = {"scikit-learn": "sklearn", "xgboost": "xgboost", "pytorch": "torch"}
_FIELD_BYTES = 8


class LoadError(Exception):
    """A model could not be loaded; the text says why."""


class LoadDiedError(LoadError):
    """Its process ended, or ran out of memory, while the model was loaded."""


class Stamps:
    """When each worker was last asked: shared memory, a number a worker."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, MOST_WORKERS * _FIELD_BYTES)
        self.times = memoryview(self._memory).cast("d")
        self._free = list(range(MOST_WORKERS - 1, -1, -1))

    def take(self) -> int:
        """Return a place that nobody has."""
        if not self._free:
            raise LoadError(f"more than {MOST_WORKERS} models cannot be loaded at a time")
        place = self._free.pop()
        self.times[place] = time.monotonic()
        return place

    def give(self, place: int) -> None:
        """Take a place back."""
        self._free.append(place)


@dataclass(eq=False)
class Worker:
    """One model's process, as the host holds it."""

    pid: int
    place: int
    door: str
    """Name of its socket, in the folder of the replica's own."""
    gone: threading.Event = field(default_factory=threading.Event)

    def signal(self, number: int) -> None:
        """Send it a signal: SIGTERM to answer what it was asked and go, SIGKILL to go at once."""
        with contextlib.suppress(OSError):
            os.kill(self.pid, number)

    def private_bytes(self) -> int:
        """Return the memory that is its own; 0 where that cannot be told."""
        return private_bytes(self.pid)


def private_bytes(pid: int | str = "self") -> int:
    """Return the memory of a process that it shares with no other; 0 where that cannot be told."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in text.splitlines() if line.startswith("Private_"))
    return sum(int(line[1]) for line in lines) * 1024


class Nursery:
    """Where workers come from. Made before the process has a second thread."""

    def __init__(self, folder: Path, name: str, environ: Mapping[str, str]) -> None:
        self.stamps = Stamps()
        self._folder = folder
        self._lock = threading.Lock()
        self._n = 0
        self._waiting: dict[int, tuple[threading.Event, list[socket.socket]]] = {}
        path = folder / LEASH
        path.unlink(missing_ok=True)
        self._post = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._post.bind(str(path))
        self._post.listen(128)
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            self._orders.close()
            self._post.close()
            _nurse(theirs, self.stamps, name, environ)
        theirs.close()
        threading.Thread(target=self._receive, name="leashes", daemon=True).start()

    def fork(self, handler: str, name: str, model_dir: Path, *, once: bool) -> Worker:
        """Start a worker and have it load a model; return when it listens.

        Raises
        ------
        LoadError
            The model cannot be loaded, or its process ended.
        """
        with self._lock:
            self._n += 1
            number, place = self._n, self.stamps.take()
            heard = self._waiting[number] = (threading.Event(), [])
        door = f"m{number}.sock"
        order = {
            "number": number,
            "place": place,
            "once": once,
            "handler": handler,
            "name": name,
            "socket": str(self._folder / door),
            "leash": str(self._folder / LEASH),
            "model_dir": str(model_dir),
        }
        leash: socket.socket | None = None
        try:
            self._orders.sendall(json.dumps(order).encode())
            if heard[0].wait(FORK_S):
                leash = heard[1][0]
        except OSError as error:
            raise LoadError(f"no process could be started for it: {error}") from error
        finally:
            with self._lock:
                self._waiting.pop(number, None)
                if leash is None:
                    self.stamps.give(place)
        if leash is None:
            raise LoadError(f"no process came up for it within {FORK_S:.0f} s")
        return self._loaded(leash, place, door)

    def _loaded(self, leash: socket.socket, place: int, door: str) -> Worker:
        """Wait for a worker's word that its model is loaded."""
        text = b""
        with contextlib.suppress(OSError):
            while not text.endswith(b"\n") and (piece := leash.recv(4096)):
                text += piece
        word = json.loads(text) if text.endswith(b"\n") else {}
        if "pid" not in word:
            leash.close()
            with self._lock:
                self.stamps.give(place)
            if word.get("failed"):
                raise LoadError(word["failed"])
            raise LoadDiedError(
                "its process ended while it was loaded; it may need more memory than there is"
            )
        worker = Worker(int(word["pid"]), place, door)
        threading.Thread(target=self._follow, args=(worker, leash), daemon=True).start()
        return worker

    def _follow(self, worker: Worker, leash: socket.socket) -> None:
        """Hear of a worker's end, whatever ended it."""
        with contextlib.suppress(OSError):
            while leash.recv(64):
                pass
        leash.close()
        worker.gone.set()
        with self._lock:
            self.stamps.give(worker.place)

    def _receive(self) -> None:
        while True:
            try:
                leash, _ = self._post.accept()
                number = int.from_bytes(leash.recv(4), "little")
            except OSError:
                return
            with self._lock:
                heard = self._waiting.get(number)
            if heard is None:
                leash.close()
            else:
                heard[1].append(leash)
                heard[0].set()


def _nurse(orders: socket.socket, stamps: Stamps, name: str, environ: Mapping[str, str]) -> None:
    """Fork a worker for every order, until the host is gone; never returns."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # who drains, still loads; the end comes with the host's
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # and nobody has to wait for them
    with contextlib.suppress(Exception):
        importlib.import_module("clary.serving.handlers.script")
        importlib.import_module(_HEAVY.get(name, "numpy"))
    while order := orders.recv(1 << 16):
        if os.fork() == 0:
            orders.close()
            code = 1
            try:
                code = _work(json.loads(order), stamps, environ)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
    os._exit(0)


def _work(order: Mapping[str, Any], stamps: Stamps, environ: Mapping[str, str]) -> int:
    """Load one model and answer until SIGTERM, or until the host is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    leash = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    leash.connect(order["leash"])
    leash.sendall(int(order["number"]).to_bytes(4, "little"))
    try:
        handler = base.load(order["handler"], order["name"], Path(order["model_dir"]), environ)
    except MemoryError:
        return 1
    except BaseException as error:
        reason = str(error) if isinstance(error, CustomerError) else f"{type(error).__name__}: {error}"
        leash.sendall(json.dumps({"failed": reason[:1024]}).encode() + b"\n")
        return 1
    threading.Thread(target=_follow, args=(leash,), daemon=True).start()

    def ready() -> None:
        leash.sendall(json.dumps({"pid": os.getpid()}).encode() + b"\n")

    _Stamped(handler, stamps, order["place"], once=order["once"]).run(Path(order["socket"]), ready)
    return 0


def _follow(leash: socket.socket) -> None:
    """End with the host."""
    with contextlib.suppress(OSError):
        leash.recv(1)
    os._exit(0)


class _Stamped(Replica):
    """A replica that notes when it was asked."""

    def __init__(self, handler: base.Handler, stamps: Stamps, place: int, *, once: bool) -> None:
        super().__init__(handler)
        self._times, self._place, self._once = stamps.times, place, once

    def _reply(self, line: socket.socket, frames: Sequence[Frame]) -> None:
        self._times[self._place] = time.monotonic()
        super()._reply(line, frames)
        if self._once:
            os.kill(os.getpid(), signal.SIGTERM)
