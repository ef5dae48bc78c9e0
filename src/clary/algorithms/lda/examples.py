"""Small trainings of LDA that print its metric; the documents are drawn from a seeded generator."""

from __future__ import annotations

import random

from clary.algorithms.base import Example

N_WORDS, N_TOPICS = 12, 3


def _documents(n_documents: int, seed: int) -> tuple[bytes, ...]:
    """Return lines of counts: a document has words of one topic, and a few of others."""
    draw = random.Random(seed)  # noqa: S311 - example data
    lines = []
    for number in range(n_documents):
        counts = [0] * N_WORDS
        for _ in range(30):
            topic = number % N_TOPICS if draw.random() < 0.9 else draw.randrange(N_TOPICS)
            counts[topic * 4 + min(draw.randrange(5), 3)] += 1
        lines.append(",".join(map(str, counts)) + "\n")
    return tuple(line.encode() for line in lines)


EXAMPLES = (
    Example(
        name="three_topics",
        doc="Documents of three topics with four words each.",
        hyperparameters={"feature_dim": str(N_WORDS), "num_topics": "3", "mini_batch_size": "120"},
        content_type="text/csv;label_size=0",
        channels={"train": _documents(120, 1), "test": _documents(30, 2)},
        metrics=("test:pwll",),
        request_type="text/csv",
        requests=_documents(5, 3),
        shuffle_tolerance=0.01,
    ),
)
"""All of them."""
