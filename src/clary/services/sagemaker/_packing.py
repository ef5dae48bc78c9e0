"""Copies on instances: which instance has room for what a copy declares. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass

from clary.compute.base import Size


@dataclass(frozen=True, slots=True)
class Need:
    """What one copy declares."""

    memory_mib: int
    cpus: float = 0.0
    gpus: float = 0.0


@dataclass(slots=True)
class _Instance:
    memory_mib: float
    cpus: float
    gpus: float

    def fits(self, need: Need) -> bool:
        return need.memory_mib <= self.memory_mib and need.cpus <= self.cpus and need.gpus <= self.gpus

    def take(self, need: Need) -> None:
        self.memory_mib -= need.memory_mib
        self.cpus -= need.cpus
        self.gpus -= need.gpus


def pack(
    size: Size,
    n_instances: int,
    taken: Sequence[tuple[int, Need]],
    need: Need,
    n_copies: int,
    kept: Sequence[int] = (),
    *,
    n_open: int = 0,
    spreads: bool = False,
) -> list[int]:
    """Return the instance of each copy; there are fewer than `n_copies` where not all fit.

    Parameters
    ----------
    taken : sequence of (int, Need)
        Copies of others, and where they are.
    kept : sequence of int
        Where the first copies are already; they stay if they still fit.
    n_open : int
        Instances that are there anyway; others begin to cost, and come last. 0 means all.
    spreads : bool
        The emptiest instance first, not the first that has room.
    """
    rooms = [_Instance(size.memory_mib, size.cpus, size.gpus) for _ in range(n_instances)]
    for place, other in taken:
        if place < n_instances:
            rooms[place].take(other)
    found: list[int] = []
    for copy in range(n_copies):
        fitting = [place for place, room in enumerate(rooms) if room.fits(need)]
        if not fitting:
            break
        choices = [place for place in fitting if place < (n_open or n_instances)] or fitting[:1]
        chosen = max(choices, key=lambda place: rooms[place].memory_mib) if spreads else choices[0]
        if copy < len(kept) and kept[copy] in fitting:
            chosen = kept[copy]
        rooms[chosen].take(need)
        found.append(chosen)
    return found
