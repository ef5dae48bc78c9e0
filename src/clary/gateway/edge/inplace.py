"""Models in place: what this process answers itself, without asking a replica.

replica ──writes──▶ replica.flat ──read, checked, measured in a thread──▶ Seat.model
"""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from weakref import WeakValueDictionary

from clary.gateway.edge import gates
from clary.serving.inplace import base
from clary.serving.inplace.base import Model
from clary.toolkit.flat import FlatError
from clary.toolkit.kernels import warm

_LOG = logging.getLogger(__name__)
MOST_BYTES = 512 * 1024 * 1024
"""Memory for all models in place of one edge; the one that rested longest makes room."""
MODEL_BYTES = 64 * 1024 * 1024
"""Of one model."""
REST_S = 5.0
"""That a model which made room stays away, so that two do not chase each other out."""
COMPILE_S = 300.0
LOOKS_S = (0.0, 0.05, 0.2, 1.0, 4.0)
"""Pauses before each look for a replica's file, which it writes once it answers; most never write one."""


class Seat:
    """The place of one replica's model in this process.

    A replica's address is its own for ever, and so is its model: no other can take this seat.
    """

    __slots__ = ("__weakref__", "address", "model", "used")

    def __init__(self, address: str) -> None:
        self.address = address
        self.model: Model | None = None
        self.used = 0.0
        """When it last answered, by `perf_counter`."""


class InPlace:
    """The seats of one edge. They live as long as a route holds them."""

    def __init__(self, clock: Callable[[], float], *, most_bytes: int = MOST_BYTES) -> None:
        self._clock = clock
        self._most_bytes = most_bytes
        self._seats: WeakValueDictionary[str, Seat] = WeakValueDictionary()
        self._evicted: dict[str, float] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="in-place")
        self._tasks: set[asyncio.Task[None]] = set()

    def seat(self, address: str) -> Seat:
        """Return the seat of a replica; its model, if it has one in place, is there a moment later."""
        seat = self._seats.get(address)
        if seat is None:
            seat = self._seats[address] = Seat(address)
            self._begin(seat)
        return seat

    def _begin(self, seat: Seat) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        task = loop.create_task(self._load(seat))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _load(self, seat: Seat) -> None:
        path = Path(seat.address).with_suffix(".flat")
        is_far = gates.is_gated(seat.address)
        for pause_s in LOOKS_S:
            await asyncio.sleep(pause_s)
            if not is_far and not path.exists():
                continue
            try:
                found = await asyncio.get_running_loop().run_in_executor(self._thread, _loaded, path)
            except FlatError as error:
                _LOG.info("%s stays with its replica: %s", path, error)
                return
            except (OSError, subprocess.SubprocessError):
                if is_far:
                    continue  # perhaps it is not there yet
                return  # it ended meanwhile
            self._make_room(found.n_bytes)
            seat.model, seat.used = found, perf_counter()
            return

    def _make_room(self, n_bytes: int) -> None:
        taken = sorted((each for each in self._seats.values() if each.model is not None), key=_by_use)
        total = n_bytes + sum(each.model.n_bytes for each in taken if each.model is not None)
        for each in taken:
            if total <= self._most_bytes:
                return
            if each.model is not None:
                total -= each.model.n_bytes
                each.model = None
                self._evicted[each.address] = self._clock()

    def miss(self, seat: Seat) -> None:
        """Hear that a request came for a seat without a model: one that made room for others comes back."""
        since = self._evicted.get(seat.address)
        if since is not None and self._clock() - since > REST_S:
            del self._evicted[seat.address]
            self._begin(seat)

    def sweep(self) -> None:
        """Let models that were slow for a while answer again; forget addresses that are no more."""
        for seat in tuple(self._seats.values()):
            if seat.model is not None:
                seat.model.relax()
        for address in [each for each in self._evicted if each not in self._seats]:
            del self._evicted[address]

    @property
    def n_bytes(self) -> int:
        """Memory of all models in place."""
        return sum(each.model.n_bytes for each in tuple(self._seats.values()) if each.model is not None)

    def close(self) -> None:
        """Let go."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _by_use(seat: Seat) -> float:
    return seat.used


def _loaded(path: Path) -> Model:
    if not warm.is_warm():  # compiled in another process: it would hold this one up for seconds
        subprocess.run([sys.executable, "-m", "clary.toolkit.kernels.warm"], check=False, timeout=COMPILE_S)
    address = str(path)
    is_far = gates.is_gated(address)
    with gates.copied(address, most_bytes=MODEL_BYTES) if is_far else nullcontext(path) as near:
        return base.load(near, most_bytes=MODEL_BYTES)
