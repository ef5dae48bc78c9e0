"""What happens after each round: a line of metrics, a checkpoint, a stop."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost
from xgboost import collective
from xgboost.callback import EarlyStopping, TrainingCallback

from clary.algorithms.xgboost import _artifact
from clary.algorithms.xgboost._hyperparameters import MAXIMIZED
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import FrameType

CHECKPOINT = "xgboost-checkpoint"
"""Files are `xgboost-checkpoint.<round>`, rounds counted from zero."""
KEPT = 5
"""Checkpoints kept. Source: open `sagemaker-xgboost-container`, checkpointing.py."""
BUDGET = 0.1
"""Share of the training time that checkpoints may take: a model grows with its rounds."""
STOPPED = 143
"""Exit code of a program that SIGTERM ended."""


class Monitor(TrainingCallback):
    """Prints `[12]<tab>train-auc:0.99012<tab>validation-auc:0.98321` at once."""

    def __init__(self, first_round: int, asked: Sequence[str], *, speaks: bool) -> None:
        super().__init__()
        self._first_round = first_round
        self._asked = asked
        self._speaks = speaks

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Print the round's metrics."""
        if self._speaks and evals_log:
            print(f"[{epoch + self._first_round}]{line_of(evals_log, self._asked)}", flush=True)  # noqa: T201
        return False


def line_of(evals_log: Any, asked: Sequence[str]) -> str:
    """Spell the last value of every metric."""
    return "".join(
        f"\t{channel}-{shown_name(metric, asked)}:{values[-1]:.5f}"
        for channel, metrics in evals_log.items()
        for metric, values in metrics.items()
    )


def shown_name(metric: str, asked: Sequence[str]) -> str:
    """Return a metric's name as it was asked for: the library adds `@1.5` to `tweedie-nloglik`."""
    stem = metric.partition("@")[0]
    return stem if metric not in asked and (stem in asked or stem == "tweedie-nloglik") else metric


class Checkpointer(TrainingCallback):
    """Writes checkpoints, as often as the budget allows, and when the job is told to end."""

    def __init__(self, folder: Path, first_round: int) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._first_round = first_round
        self._written: list[Path] = []
        self._started = time.monotonic()
        self._spent_s = 0.0

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Write a checkpoint if it is affordable."""
        if self._spent_s <= BUDGET * (time.monotonic() - self._started):
            self.write(model, epoch)
        return False

    def write(self, model: xgboost.Booster, epoch: int) -> None:
        """Write the checkpoint of a round and drop the oldest."""
        started = time.monotonic()
        path = self._folder / f"{CHECKPOINT}.{epoch + self._first_round}"
        if path not in self._written:
            _artifact.save(model, path)
            self._written.append(path)
        for old in self._written[:-KEPT]:
            old.unlink(missing_ok=True)
        del self._written[:-KEPT]
        self._spent_s += time.monotonic() - started


class Stop:
    """Remembers SIGTERM while a model trains."""

    def __init__(self) -> None:
        self.is_asked = False
        self._before: Any = None

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.is_asked = True


class Stopper(TrainingCallback):
    """Ends training after the round in which SIGTERM came, on every host after the same one."""

    def __init__(self, stop: Stop, *, keeps_model: bool, at_end: Callable[[Any, int], None] | None) -> None:
        super().__init__()
        self._stop = stop
        self._keeps_model = keeps_model
        self._at_end = at_end
        self._is_shared = collective.is_distributed()

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Stop, or go on."""
        is_asked = self._stop.is_asked
        if self._is_shared:
            is_asked = bool(collective.allreduce(np.array([float(is_asked)]), collective.Op.MAX)[0])
        if not is_asked:
            return False
        if self._at_end is not None:
            self._at_end(model, epoch)
        if not self._keeps_model:
            raise SystemExit(STOPPED)
        return True


class Patience(EarlyStopping):
    """Early stopping on the validation channel; finds the metric under the library's spelling of its name."""

    def __init__(self, rounds: int, metric: str | None, *, keeps_best: bool) -> None:
        stem = (metric or "").partition("@")[0]
        super().__init__(
            rounds=rounds,
            data_name="validation",
            metric_name=metric,
            maximize=(stem in MAXIMIZED) if metric else None,
            save_best=keeps_best,
        )
        self._is_known = metric is None

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Stop when the metric has not got better for long enough."""
        if not self._is_known:
            self.metric_name = _spelled(str(self.metric_name), list(evals_log["validation"]))
            self._is_known = True
        return bool(super().after_iteration(model, epoch, evals_log))


def _spelled(metric: str, printed: Sequence[str]) -> str:
    stem = metric.partition("@")[0]
    return (
        metric
        if metric in printed
        else next((name for name in printed if name.startswith(stem)), printed[-1])
    )


def latest_checkpoint(folder: Path | None) -> tuple[xgboost.Booster, int] | None:
    """Return the newest checkpoint that can be read, and the rounds that it holds."""
    if folder is None or not folder.is_dir():
        return None
    pattern = re.compile(rf"{CHECKPOINT}\.(\d+)")
    found = {int(match[1]): path for path in folder.iterdir() if (match := pattern.fullmatch(path.name))}
    for number in sorted(found, reverse=True):
        with contextlib.suppress(CustomerError, OSError):  # cut short by a dying host: the one before will do
            return _artifact.from_bytes(found[number].read_bytes(), found[number].name), number + 1
    return None
