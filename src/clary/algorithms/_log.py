"""The log of the service's own algorithms: lines that its regular expressions, and users' scripts, find."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.algorithms.base import Training


def say(text: str, level: str = "INFO") -> None:
    """Print one line, as the service's containers do."""
    print(f"[{time.strftime('%m/%d/%Y %H:%M:%S')} {level} {os.getpid()}] {text}", flush=True)  # noqa: T201


class Log:
    """The lines of one host of one training."""

    def __init__(self, training: Training, algorithm: str) -> None:
        self._host = training.host
        self._algorithm = algorithm
        self._started = time.time()

    def quality(self, what: str, value: float, *, epoch: int | None = None, kind: str = "loss") -> None:
        """Print `#quality_metric: host=algo-1, epoch=0, train msd <loss>=0.07`."""
        of_epoch = f", epoch={epoch}" if epoch is not None else ""
        say(f"#quality_metric: host={self._host}{of_epoch}, {what} <{kind}>={value}")

    def progress(self, done: int, of: int) -> None:
        """Print how many percent of the epochs are done."""
        say(f"#progress_metric: host={self._host}, completed {100.0 * done / of:g} % of epochs")

    def throughput(self, n_rows: int, seconds: float) -> None:
        """Print rows a second of a pass."""
        rate = n_rows / max(seconds, 1e-9)
        say(f"#throughput_metric: host={self._host}, train throughput={rate} records/second")

    def score(self, name: str, value: float, channel: str = "test") -> None:
        """Print `#test_score (algo-1) : ('msd', 0.07)`."""
        say(f"#{channel}_score ({self._host}) : ('{name}', {value})")

    def metrics(self, operation: str, values: Mapping[str, float]) -> None:
        """Print a `#metrics` line, JSON, of counters since the last one."""
        now = time.time()
        document = {
            "StartTime": self._started,
            "EndTime": now,
            "Dimensions": {"Algorithm": self._algorithm, "Host": self._host, "Operation": operation},
            "Metrics": {
                name: {"sum": value, "count": 1, "min": value, "max": value} for name, value in values.items()
            },
        }
        self._started = now
        print(f"#metrics {json.dumps(document)}", flush=True)  # noqa: T201 - the job's log
