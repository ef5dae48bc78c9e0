"""BLEU of a corpus.

Source: Papineni et al. (2002), doi:10.3115/1073083.1073135: four orders, one reference, brevity penalty.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ORDERS = 4


def bleu(found: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]) -> float:
    """Return BLEU in [0, 1] of translations against one reference each."""
    matches, totals = [0] * ORDERS, [0] * ORDERS
    for one, other in zip(found, wanted, strict=True):
        for order in range(1, ORDERS + 1):
            mine, theirs = _grams(one, order), _grams(other, order)
            matches[order - 1] += sum((mine & theirs).values())
            totals[order - 1] += sum(mine.values())
    if not all(matches):
        return 0.0
    precision = sum(math.log(match / total) for match, total in zip(matches, totals, strict=True)) / ORDERS
    length, reference = sum(map(len, found)), sum(map(len, wanted))
    return math.exp(precision + min(0.0, 1 - reference / length))


def _grams(tokens: Sequence[int], order: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1))
