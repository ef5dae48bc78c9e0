"""Small trainings of Object2Vec that together print all its metrics; pairs are drawn with a seed."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from clary.algorithms.base import Example
from clary.algorithms.object2vec._hyperparameters import STORAGE, TIED

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKENS = 12


def _pairs(n_pairs: int, seed: int, *, is_number: bool) -> Iterator[bytes]:
    """Yield pairs of sequences, alike where both come from one half of the tokens."""
    draw = random.Random(seed)  # noqa: S311 - example data
    for _ in range(n_pairs):
        halves = draw.randrange(2), draw.randrange(2)
        in0, in1 = ([draw.randrange(6) + 6 * half for _ in range(draw.randrange(1, 6))] for half in halves)
        label: float = int(halves[0] == halves[1])
        if is_number:
            label = round(label + draw.gauss(0, 0.05), 3)
        yield (json.dumps({"label": label, "in0": in0, "in1": in1}) + "\n").encode()


def _questions(n_pairs: int) -> Iterator[bytes]:
    for place, line in enumerate(_pairs(n_pairs, 9, is_number=False)):
        pair = json.loads(line)
        del pair["label"]
        if place == 0:
            del pair["in1"]
        yield json.dumps(pair).encode()


def _example(name: str, doc: str, metrics: tuple[str, ...], **hyperparameters: str) -> Example:
    is_number = hyperparameters.get("output_layer") == "mean_squared_error"
    return Example(
        name=name,
        doc=doc,
        hyperparameters={
            "enc0_max_seq_len": "8",
            "enc0_vocab_size": str(_TOKENS),
            "enc_dim": "8",
            "enc0_token_embedding_dim": "8",
            "mlp_dim": "8",
            "mlp_layers": "1",
            "mlp_activation": "relu",
            "mini_batch_size": "20",
            "learning_rate": "0.01",
            "epochs": "2",
            **hyperparameters,
        },
        content_type="application/jsonlines",
        channels={
            channel: tuple(_pairs(n_pairs, seed, is_number=is_number))
            for channel, n_pairs, seed in (("train", 100, 1), ("validation", 20, 2), ("test", 20, 3))
        },
        metrics=(
            *(f"{channel}:{each}" for channel in ("train", "validation", "test") for each in metrics),
            "train:progress",
            "train:throughput",
        ),
        request_type="application/jsonlines",
        requests=tuple(_questions(5)),
    )


EXAMPLES = (
    _example(
        "pooled",
        "Means of tokens' vectors; the label is a number.",
        ("mean_squared_error",),
        enc0_network="pooled_embedding",
        output_layer="mean_squared_error",
        **{STORAGE: "row_sparse"},
    ),
    _example(
        "convolutions",
        "Convolutions, shared vectors of tokens, buckets of lengths; the label is a class.",
        ("accuracy", "cross_entropy"),
        enc0_network="hcnn",
        enc0_layers="2",
        bucket_width="2",
        dropout="0.1",
        **{TIED: "true"},
    ),
    _example(
        "recurrent",
        "A recurrent network in both directions, and pairs that are drawn.",
        ("accuracy", "cross_entropy"),
        enc0_network="bilstm",
        negative_sampling_rate="1",
    ),
)
"""All of them."""
