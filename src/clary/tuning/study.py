"""What a strategy sees of a tuning job: its space, its goal, and its trials so far."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clary.tuning.space import Space


@dataclass(frozen=True, slots=True)
class Trial:
    """One training with one combination of hyperparameters."""

    index: int
    """From 1, in the order of their start."""
    values: Mapping[str, str]
    """Tuned hyperparameters, as the wire spells them."""
    objective: float | None = None
    """Last value of the objective; None where there is none, or none yet."""
    is_running: bool = False
    curve: Sequence[float] = ()
    """Every value of the objective in order; only where a rule of stopping asks for it."""


@dataclass(frozen=True)
class Study:
    """A tuning job as it stands when the next trial is chosen."""

    space: Space
    is_maximizing: bool
    seed: int
    trials: Sequence[Trial] = ()
    """In the order of their index."""
    parents: Sequence[Sequence[Trial]] = field(default=())
    """Ended trials of jobs to start from, in this job's own hyperparameters, a sequence each."""
    is_transfer: bool = False
    """The parents' data or algorithm differ: their objectives compare with each other, not with these."""

    @property
    def sign(self) -> float:
        """Factor that makes the objective one to minimise."""
        return -1.0 if self.is_maximizing else 1.0

    def seed_of(self, index: int) -> int:
        """Return the seed of one trial's choice, the same whatever ran before."""
        digest = hashlib.sha256(f"{self.seed}:{index}".encode()).digest()
        return int.from_bytes(digest[:4], "big")


def best(trials: Sequence[Trial], *, is_maximizing: bool) -> Trial | None:
    """Return the trial with the best objective, the first of equal ones; None where none has any."""
    found = [trial for trial in trials if trial.objective is not None]
    sign = -1.0 if is_maximizing else 1.0
    return min(found, key=lambda trial: (sign * (trial.objective or 0.0), trial.index), default=None)
