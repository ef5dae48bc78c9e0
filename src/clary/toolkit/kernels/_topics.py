"""The compiled half of `topics`: documents shared out among topics, word by word."""

from typing import Any

import numpy as np

from clary.toolkit.kernels._numba import kernel, types

STARTS = types.Array(types.int64, 1, "C")
COLUMNS = types.Array(types.int32, 1, "C")
FLOATS = types.Array(types.float32, 1, "C")
TABLE = types.Array(types.float32, 2, "C")
WIDE = types.Array(types.float64, 2, "C")
PRIOR = types.Array(types.float64, 1, "C")
LOOSE = {"nnan", "ninf", "nsz", "reassoc", "contract"}


@kernel(types.void(STARTS, COLUMNS, FLOATS, TABLE, TABLE, FLOATS, TABLE), fastmath=LOOSE)
def share(starts: Any, words: Any, counts: Any, mixtures: Any, weights: Any, prior: Any, found: Any) -> Any:
    """Share out every word's count; see `topics.share`."""
    n_topics = prior.shape[0]
    own, parts = np.empty(n_topics, np.float32), np.empty(n_topics, np.float32)
    for row in range(starts.shape[0] - 1):
        mixture = mixtures[row]
        for topic in range(n_topics):
            own[topic] = mixture[topic] + prior[topic]
            mixture[topic] = 0.0
        for at in range(starts[row], starts[row + 1]):
            weight, into = weights[words[at]], found[words[at]]
            total = np.float32(0.0)
            for topic in range(n_topics):
                parts[topic] = own[topic] * weight[topic]
                total += parts[topic]
            scale = counts[at] / total
            for topic in range(n_topics):
                part = parts[topic] * scale
                mixture[topic] += part
                into[topic] += part


@kernel(types.void(STARTS, COLUMNS, FLOATS, WIDE, PRIOR, WIDE, types.int64), fastmath=LOOSE)
def mix(starts: Any, words: Any, counts: Any, topics: Any, prior: Any, mixtures: Any, n_turns: Any) -> Any:
    """Find the mixture of every document; see `topics.mix`."""
    n_topics = prior.shape[0]
    own, parts, sums = np.empty(n_topics), np.empty(n_topics), np.empty(n_topics)
    for row in range(starts.shape[0] - 1):
        size = 0.0
        for at in range(starts[row], starts[row + 1]):
            size += counts[at]
        for topic in range(n_topics):
            own[topic] = prior[topic] * (1.0 + size)
        for _ in range(n_turns):
            sums[:] = prior
            for at in range(starts[row], starts[row + 1]):
                weight = topics[words[at]]
                total = 0.0
                for topic in range(n_topics):
                    parts[topic] = own[topic] * weight[topic]
                    total += parts[topic]
                scale = counts[at] / total
                for topic in range(n_topics):
                    sums[topic] += parts[topic] * scale
            own[:] = sums
        total = 0.0
        for topic in range(n_topics):
            total += own[topic]
        for topic in range(n_topics):
            mixtures[row, topic] = own[topic] / total
