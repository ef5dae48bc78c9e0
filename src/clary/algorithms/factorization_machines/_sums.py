"""Metrics of rows that are scored one mini-batch after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clary.algorithms._hosts import Hosts


class Sums:
    """What is counted while rows are scored."""

    def __init__(self, *, is_binary: bool) -> None:
        self._is_binary = is_binary
        self._sums = np.zeros(6)

    @property
    def n_rows(self) -> int:
        """Rows counted."""
        return int(self._sums[0])

    def add(self, scores: Any, labels: Any) -> None:
        """Count some rows."""
        found, truth = scores.astype(np.float64), labels.astype(np.float64)
        if not self._is_binary:
            self._sums[:2] += len(found), ((found - truth) ** 2).sum()
            return
        own = np.clip(np.where(truth == 1, found, 1 - found), 1e-15, 1)
        chosen = found >= 0.5
        both = (chosen & (truth == 1)).sum()
        counts = (
            len(found),
            -np.log(own).sum(),
            (chosen == (truth == 1)).sum(),
            both,
            chosen.sum(),
            truth.sum(),
        )
        self._sums += counts

    def of_all(self, hosts: Hosts) -> dict[str, tuple[str, float]]:
        """Return the metrics over all hosts' rows."""
        merged = Sums(is_binary=self._is_binary)
        merged._sums = hosts.sum(self._sums)
        return merged.metrics()

    def metrics(self) -> dict[str, tuple[str, float]]:
        """Return name, kind and value of every metric."""
        count, loss, right, both, chosen, positive = self._sums.tolist()
        if not self._is_binary:
            return {"rmse": ("loss", (loss / count) ** 0.5)}
        return {
            "binary_classification_accuracy": ("score", right / count),
            "binary_classification_cross_entropy": ("loss", loss / count),
            "binary_f_1.000": ("score", 2 * both / max(chosen + positive, 1.0)),
        }
