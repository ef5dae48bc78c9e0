"""Counts of a binary decision at every threshold that makes a difference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clary.toolkit.evaluation.base import Vector


@dataclass(frozen=True)
class Counts:
    """Weights of the four outcomes; scalars, or arrays of the same shape."""

    tp: Vector
    fp: Vector
    fn: Vector
    tn: Vector

    @property
    def total(self) -> Vector:
        """All rows."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def accuracy(self) -> Vector:
        """Share of rows judged right."""
        return share(self.tp + self.tn, self.total)

    @property
    def precision(self) -> Vector:
        """Share of what was called positive that is; 0 where nothing was."""
        return share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Vector:
        """Share of the positive that was found."""
        return share(self.tp, self.tp + self.fn)

    @property
    def false_positive_rate(self) -> Vector:
        """Share of the negative that was called positive."""
        return share(self.fp, self.fp + self.tn)

    def f(self, beta: float) -> Vector:
        """Return F-beta: recall counts `beta` times as much as precision."""
        square = beta * beta
        return share((1 + square) * self.tp, (1 + square) * self.tp + square * self.fn + self.fp)


def share(part: Vector, whole: Vector) -> Vector:
    """Return `part / whole`, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros_like(np.asarray(whole, dtype=np.float64)), where=whole > 0)


@dataclass(frozen=True)
class Sweep:
    """Counts at every threshold, from "nothing is positive" to "everything is"."""

    thresholds: Vector
    """Descending; a row is positive where its score is at least that. Halfway between neighbouring scores."""
    counts: Counts

    @classmethod
    def of(cls, labels: NDArray[np.bool_], scores: Vector, weights: Vector) -> "Sweep":
        """Sort once, count all."""
        order = np.argsort(-scores, kind="stable")
        scores, positive = scores[order], np.where(labels, weights, 0.0)[order]
        negative = np.where(labels, 0.0, weights)[order]
        last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of each run of equal scores
        tp = np.append(0.0, np.cumsum(positive)[last])
        fp = np.append(0.0, np.cumsum(negative)[last])
        counts = Counts(tp=tp, fp=fp, fn=tp[-1] - tp, tn=fp[-1] - fp)
        return cls(_cuts(scores[last]), counts)

    @property
    def auc(self) -> float:
        """Area under the ROC curve, ties counted half; NaN over one class."""
        positive, negative = self.counts.tp[-1], self.counts.fp[-1]
        if positive <= 0 or negative <= 0:
            return float("nan")
        return float(np.trapezoid(self.counts.tp, self.counts.fp) / (positive * negative))

    @property
    def average_precision(self) -> float:
        """Mean precision over the positives, in the order of their scores; NaN without any."""
        if self.counts.tp[-1] <= 0:
            return float("nan")
        return float(np.sum(np.diff(self.counts.recall) * self.counts.precision[1:]))


def _cuts(steps: Vector) -> Vector:
    """Return thresholds: above all scores, between each two neighbours, below all."""
    middles = (steps[:-1] + steps[1:]) / 2
    middles = np.where((middles <= steps[:-1]) & (middles > steps[1:]), middles, steps[:-1])
    top = (steps[0] + 1) / 2 if steps[0] < 1 else np.nextafter(steps[0], np.inf)
    bottom = 0.0 if 0 <= steps[-1] <= 1 else steps[-1]
    return np.concatenate([[max(top, np.nextafter(steps[0], np.inf))], middles, [bottom]])


def counts_at(threshold: float, labels: NDArray[np.bool_], scores: Vector, weights: Vector) -> Counts:
    """Return the counts of one threshold: a score of at least that is positive."""
    called = scores >= threshold
    sums = [
        np.asarray(weights[mask].sum())
        for mask in (called & labels, called & ~labels, ~called & labels, ~called & ~labels)
    ]
    return Counts(tp=sums[0], fp=sums[1], fn=sums[2], tn=sums[3])
