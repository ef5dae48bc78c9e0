"""How well masks and boxes fit: pixel accuracy and mean intersection over union; mean average precision.

Source: Everingham et al. (2010), "The PASCAL visual object classes challenge", doi:10.1007/s11263-009-0275-4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

IGNORED = 255
"""Label of pixels that count neither way."""


def confusion(said: NDArray[Any], wanted: NDArray[Any], n_classes: int) -> NDArray[np.int64]:
    """Return how often each class (rows) was called each (columns); labels beyond are left out."""
    counted = wanted < n_classes
    both = wanted[counted].astype(np.int64) * n_classes + said[counted]
    return np.bincount(both, minlength=n_classes**2).reshape(n_classes, n_classes)


def mean_iou(counts: NDArray[Any]) -> float:
    """Return the mean, over classes that are there or were said, of intersection over union."""
    both = np.diag(counts)
    either = counts.sum(0) + counts.sum(1) - both
    return float((both[either > 0] / either[either > 0]).mean()) if either.any() else 0.0


def pixel_accuracy(counts: NDArray[Any]) -> float:
    """Return the share of pixels that were called what they are."""
    return float(np.trace(counts) / max(counts.sum(), 1))


def iou(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Return the intersection over union of boxes.

    Parameters
    ----------
    first, second : ndarray, shape (n_boxes, 4)
        Left, top, right, bottom.

    Returns
    -------
    overlaps : ndarray, shape (n_first, n_second)
    """
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = np.clip(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0, None)
    both = sides.prod(2)
    areas = [np.clip(each[:, 2:] - each[:, :2], 0, None).prod(1) for each in (first, second)]
    either = areas[0][:, None] + areas[1][None, :] - both
    shares: NDArray[np.float64] = np.divide(both, either, out=np.zeros(both.shape), where=either > 0)
    return shares


def average_precision(
    found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]], threshold: float = 0.5
) -> float:
    """Return the area below the curve of precision over recall, of one class.

    Parameters
    ----------
    found : sequence of ndarray, shape (n_found, 5)
        Of each image: score, left, top, right, bottom.
    wanted : sequence of ndarray, shape (n_wanted, 5)
        Of each image: 1 where the box is difficult and counts neither way, left, top, right, bottom.

    Notes
    -----
    Of several boxes that fit one object, the one with the highest score is right and the others are wrong;
    the precision of a recall is the best of that or a higher one, and the curve has every point. Source: VOC
    2010's development kit, as MXNet's `MApMetric`.
    """
    n_wanted = sum(int((each[:, 0] == 0).sum()) for each in wanted)
    if not n_wanted:
        return float("nan")
    scores, right = [], []
    for boxes, objects in zip(found, wanted, strict=True):
        overlaps = iou(boxes[:, 1:], objects[:, 1:])
        taken = np.zeros(len(objects), bool)
        for place in np.argsort(-boxes[:, 0], kind="stable"):
            best = int(overlaps[place].argmax()) if len(objects) else -1
            fits = best >= 0 and overlaps[place, best] >= threshold
            if fits and objects[best, 0]:
                continue
            scores.append(boxes[place, 0])
            right.append(fits and not taken[best])
            if fits:
                taken[best] = True
    order = np.argsort(-np.array(scores), kind="stable")
    hits = np.cumsum(np.array(right, float)[order])
    recall = np.concatenate(([0.0], hits / n_wanted, [1.0]))
    precision = np.concatenate(([0.0], hits / np.arange(1, len(hits) + 1), [0.0]))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * precision[1:]).sum())
