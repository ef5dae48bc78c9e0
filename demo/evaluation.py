"""What a classifier is worth when its two errors cost different money."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Costs:
    """Money lost by one error of each kind."""

    missed_fraud: float
    false_alarm: float


@dataclass(frozen=True)
class Outcome:
    """Counts at one threshold, and what they cost."""

    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    cost: float

    @property
    def n_rows(self) -> int:
        """How many rows were judged."""
        return self.true_positives + self.false_positives + self.false_negatives + self.true_negatives

    @property
    def accuracy(self) -> float:
        """Share of rows judged right."""
        return (self.true_positives + self.true_negatives) / self.n_rows

    @property
    def precision(self) -> float:
        """Share of the alarms that were right."""
        alarms = self.true_positives + self.false_positives
        return self.true_positives / alarms if alarms else 0.0

    @property
    def recall(self) -> float:
        """Share of the frauds that were caught."""
        frauds = self.true_positives + self.false_negatives
        return self.true_positives / frauds if frauds else 0.0

    @property
    def false_alarm_rate(self) -> float:
        """Share of the honest sites that were accused."""
        honest = self.false_positives + self.true_negatives
        return self.false_positives / honest if honest else 0.0


def judge(labels: Labels, scores: Scores, threshold: float, costs: Costs) -> Outcome:
    """Call every score of at least `threshold` a fraud, and count."""
    table = confusion_matrix(labels, scores >= threshold, labels=[0, 1])
    (true_negatives, false_positives), (false_negatives, true_positives) = table.tolist()
    cost = false_negatives * costs.missed_fraud + false_positives * costs.false_alarm
    return Outcome(threshold, true_positives, false_positives, false_negatives, true_negatives, cost)


def cost_curve(labels: Labels, scores: Scores, costs: Costs) -> tuple[Scores, Scores]:
    """Return thresholds from 0 to 1 and the cost per 1,000 rows at each."""
    thresholds = np.linspace(0.0, 1.0, 401)
    total = np.array([judge(labels, scores, each, costs).cost for each in thresholds])
    return thresholds, total * 1000 / len(labels)


def cheapest_threshold(labels: Labels, scores: Scores, costs: Costs) -> float:
    """Return the threshold of least cost; the middle one where several are as cheap.

    Only thresholds between two neighbouring scores differ in their counts, so those are all there is to try.
    """
    steps = np.unique(scores)
    between = (steps[:-1] + steps[1:]) / 2
    between = np.where(
        between > steps[:-1], between, steps[1:]
    )  # neighbours so close that nothing lies between
    top = (steps[-1] + 1) / 2 if steps[-1] < 1 else np.nextafter(steps[-1], 2)
    candidates = np.concatenate([[steps[0] / 2], between, [max(top, np.nextafter(steps[-1], 2))]])
    cost = np.array([judge(labels, scores, each, costs).cost for each in candidates])
    best = np.flatnonzero(cost == cost.min())
    return float(candidates[best[len(best) // 2]])


def area_under_curve(labels: Labels, scores: Scores) -> float:
    """Return the area under the ROC curve."""
    return float(roc_auc_score(labels, scores))
