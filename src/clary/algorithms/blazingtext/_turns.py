"""Turns of training: parts of an epoch, shared out among threads, with rates that fall in a line."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SEED = 17
Step: TypeAlias = "Callable[[NDArray[np.int64], np.float32, np.float32, np.uint64], object]"
"""Learn what stands at some places: at a rate, to a rate, with a seed."""


class Turns:
    """All turns of one training on one host; threads change the same rows, as Hogwild has it.

    Source: Niu and others (2011), "Hogwild!", arXiv:1106.5730.
    """

    def __init__(self, *, epochs: int, rate: float, n_threads: int, n_words: int, n_hosts: int = 1) -> None:
        self._epochs, self._rate = epochs, rate
        self._n_threads, self._n_words, self._n_hosts = n_threads, n_words, n_hosts
        self._started = time.time()

    def run(
        self,
        epoch: int,
        places: NDArray[np.int64],
        n_parts: int,
        learn: Step,
        rank: int = 0,
    ) -> Iterator[int]:
        """Yield after each part of an epoch."""
        draw = np.random.default_rng((SEED, epoch, rank))
        shuffled = draw.permutation(places)
        with ThreadPoolExecutor(self._n_threads) as pool:
            for number, part in enumerate(np.array_split(shuffled, n_parts)):
                rates = [self._rate_at(epoch + (number + end) / n_parts) for end in (0, 1)]
                shares = np.array_split(part, self._n_threads) if self._n_threads > 1 else [part]
                seeds = draw.integers(1, 2**63, len(shares), np.uint64)
                jobs = [
                    pool.submit(learn, share, rates[0], rates[1], seed)
                    for share, seed in zip(shares, seeds, strict=True)
                ]
                for job in jobs:
                    job.result()
                yield number
                self._say(epoch + (number + 1) / n_parts, rates[1])

    def _rate_at(self, done: float) -> np.float32:
        return np.float32(self._rate * (1 - done / self._epochs))

    def _words_per_s(self, done: float) -> float:
        return done * self._n_words * self._n_hosts / max(time.time() - self._started, 1e-9) / 1e6

    def _say(self, done: float, rate: np.float32) -> None:
        self.log(
            f"##### Alpha: {rate:.4f}  Progress: {100 * done / self._epochs:.2f}%  "
            f"Million Words/sec: {self._words_per_s(done):.2f} #####"
        )

    def finish(self, epochs: int) -> None:
        """Print how fast it was."""
        self.log("Training finished!")
        self.log(f"Average throughput in Million words/sec: {self._words_per_s(epochs):.2f}")
        self.log(f"Total training time in seconds: {time.time() - self._started:.2f}")

    @staticmethod
    def log(text: str) -> None:
        """Print a line as the service's container does."""
        print(text, flush=True)  # noqa: T201 - the job's log
