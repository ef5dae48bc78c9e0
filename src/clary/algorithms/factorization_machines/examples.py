"""Small trainings of factorization machines that print all metrics; their rows are drawn with a seed."""

from __future__ import annotations

import json
import random
import struct

from clary.algorithms.base import Example

N_USERS, N_THINGS = 8, 6
N_COLUMNS = N_USERS + N_THINGS


def _record(user: int, thing: int, label: float) -> bytes:
    """Return a sparse record: 1 for a user, 1 for a thing. Source: SageMaker SDK, `record.proto`."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    def value(tensor: bytes) -> bytes:
        return field(1, b"values") + field(2, field(2, tensor))

    ones = field(1, struct.pack("<2f", 1, 1))
    keys = field(2, bytes([user, N_USERS + thing])) + field(3, bytes([N_COLUMNS]))
    payload = field(1, value(ones + keys)) + field(2, value(field(1, struct.pack("<f", label))))
    return struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4)


def _rows(n_rows: int, seed: int, *, is_binary: bool) -> tuple[bytes, ...]:
    """Return what users think of things: even ones like even things."""
    draw = random.Random(seed)  # noqa: S311 - example data
    rows = []
    for _ in range(n_rows):
        user, thing = draw.randrange(N_USERS), draw.randrange(N_THINGS)
        taste = 1.0 if user % 2 == thing % 2 else -1.0
        rows.append(_record(user, thing, float(taste > 0) if is_binary else 3 + taste + draw.gauss(0, 0.1)))
    return tuple(rows)


def _request(user: int, thing: int) -> bytes:
    features = {"keys": [user, N_USERS + thing], "shape": [N_COLUMNS], "values": [1, 1]}
    return json.dumps({"instances": [{"data": {"features": features}}]}).encode()


def _example(name: str, doc: str, metrics: tuple[str, ...], tolerance: float, **more: str) -> Example:
    is_binary = more["predictor_type"] == "binary_classifier"
    return Example(
        name=name,
        doc=doc,
        hyperparameters={
            "feature_dim": str(N_COLUMNS),
            "num_factors": "4",
            "mini_batch_size": "50",
            "epochs": "30",
            "linear_lr": "0.02",
            "factors_lr": "0.02",
            "factors_init_sigma": "0.1",
            **more,
        },
        content_type="application/x-recordio-protobuf",
        channels={"train": _rows(600, 1, is_binary=is_binary), "test": _rows(60, 2, is_binary=is_binary)},
        metrics=tuple(f"{channel}:{each}" for channel in ("train", "test") for each in metrics),
        request_type="application/json",
        requests=tuple(_request(user, user % N_THINGS) for user in range(4)),
        shuffle_tolerance=tolerance,
    )


EXAMPLES = (
    _example("ratings", "How much users like things.", ("rmse",), 0.2, predictor_type="regressor"),
    _example(
        "likes",
        "Whether users like things.",
        ("binary_classification_accuracy", "binary_classification_cross_entropy", "binary_f_beta"),
        0.2,
        predictor_type="binary_classifier",
    ),
)
"""All of them."""
