"""A small training of IP Insights that prints all its metrics; events are drawn from a seeded generator."""

from __future__ import annotations

import random

from clary.algorithms.base import Example


def _events(n_events: int, seed: int) -> tuple[bytes, ...]:
    """Return logins of three people, each from a network of her own."""
    draw = random.Random(seed)  # noqa: S311 - example data
    networks = {"ann": "10.1.%d.%d", "ben": "172.16.%d.%d", "eve": "192.168.%d.%d"}
    lines = []
    for _ in range(n_events):
        name = draw.choice(sorted(networks))
        lines.append(f"{name},{networks[name] % (draw.randrange(4), draw.randrange(256))}\n".encode())
    return tuple(lines)


EXAMPLES = (
    Example(
        name="logins",
        doc="Three people, each with a network.",
        hyperparameters={
            "num_entity_vectors": "100",
            "vector_dim": "8",
            "epochs": "5",
            "mini_batch_size": "20",
            "learning_rate": "0.01",
            "batch_metrics_publish_interval": "10",
        },
        content_type="text/csv",
        channels={"train": _events(300, 1), "validation": _events(60, 2)},
        metrics=(
            "train:binary_classification_cross_entropy",
            "train:binary_classification_cross_entropy:epoch",
            "train:binary_classification_accuracy",
            "train:binary_classification_accuracy:epoch",
            "train:progress",
            "train:throughput",
            "validation:discriminator_auc",
        ),
        request_type="text/csv",
        requests=(*_events(4, 3), b"ann,192.168.1.7\n", b"nobody, 8.8.8.8\n"),
    ),
)
"""All of them."""
