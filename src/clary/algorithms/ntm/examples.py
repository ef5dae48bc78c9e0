"""Small trainings of the neural topic model that print all its metrics; documents are drawn with a seed."""

from __future__ import annotations

import random

from clary.algorithms.base import Example

_WORDS = 12
_TOPICS = ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11))


def _documents(n_documents: int, seed: int) -> tuple[bytes, ...]:
    """Return documents of one topic each, with some words of others."""
    draw = random.Random(seed)  # noqa: S311 - example data
    rows = []
    for number in range(n_documents):
        counts = [0] * _WORDS
        for _ in range(20):
            is_stray = draw.random() < 0.1
            word = draw.randrange(_WORDS) if is_stray else draw.choice(_TOPICS[number % len(_TOPICS)])
            counts[word] += 1
        rows.append((",".join(map(str, counts)) + "\n").encode())
    return tuple(rows)


def _example(name: str, doc: str, **hyperparameters: str) -> Example:
    return Example(
        name=name,
        doc=doc,
        hyperparameters={
            "feature_dim": str(_WORDS),
            "num_topics": "3",
            "mini_batch_size": "30",
            "epochs": "5",
            **hyperparameters,
        },
        content_type="text/csv;label_size=0",
        channels={"train": _documents(150, 1), "validation": _documents(30, 2), "test": _documents(30, 3)},
        metrics=(
            "train:total_loss",
            "validation:total_loss",
            "test:total_loss",
            "train:progress",
            "train:throughput",
        ),
        request_type="text/csv",
        requests=_documents(6, 4),
    )


EXAMPLES = (
    _example("topics", "Three topics of four words each.", optimizer="adam", learning_rate="0.01"),
    _example("normalised", "The encoder's layers normalised over mini-batches.", batch_norm="true"),
)
"""All of them."""
