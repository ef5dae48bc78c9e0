"""What the wire shows of IP Insights; standard library only.

Source: developer guide, "IP Insights Hyperparameters" and "Tune an IP Insights Model"; SDK,
`amazon/ipinsights.py`; metrics' expressions as DescribeTrainingJob returns them.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import CSV, FEATURE_DIM, JSON, JSONLINES, PASSES, RowAlgorithm, metric
from clary.algorithms.base import Channel, Metric
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperparameters import Continuous, Hyperparameter, Integer, Params, Recommended, Rule

MODEL_BYTES = 8 << 30
"""Source: developer guide, "CPU Instances for the IP Insights Algorithm"."""
_CSV = (CSV,)


def _negatives(params: Params) -> None:
    drawn, shuffled = (
        params.int("random_negative_sampling_rate"),
        params.int("shuffled_negative_sampling_rate"),
    )
    if not 1 <= drawn + shuffled <= 500:
        raise CustomerError(
            f"Hyperparameters random_negative_sampling_rate: {drawn} and shuffled_negative_sampling_rate: "
            f"{shuffled} must add up to a number in range [1, 500]"
        )


def _size(params: Params) -> None:
    n_vectors, n_columns = params.int("num_entity_vectors"), params.int("vector_dim")
    if 4 * n_vectors * n_columns > MODEL_BYTES:
        raise CustomerError(
            f"Hyperparameters num_entity_vectors: {n_vectors} and vector_dim: {n_columns} make a model of "
            f"{4 * n_vectors * n_columns / 2**30:.1f} GiB; at most {MODEL_BYTES >> 30} GiB are allowed"
        )


class IPInsights(RowAlgorithm):
    """Who uses which IPv4 addresses, SageMaker's built-in `ipinsights`."""

    name: ClassVar[str] = "ipinsights"
    title: ClassVar[str] = "IP Insights"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Integer(
            name="num_entity_vectors",
            min=1,
            max=250_000_000,
            tunable=Recommended(min=10_000, max=1_000_000),
            doc="Vectors that entities are hashed to; twice the number of entities is a good choice.",
        ),
        Integer(
            name="vector_dim",
            min=4,
            max=4096,
            tunable=Recommended(min=8, max=256),
            doc="Numbers in the vector of an entity or an address.",
        ),
        Integer(
            name="batch_metrics_publish_interval",
            min=1,
            default=1000,
            doc="Mini-batches between two reports of loss and accuracy.",
        ),
        Integer(
            name="epochs", min=1, default=10, tunable=Recommended(min=1, max=100), doc="Passes over the data."
        ),
        Continuous(
            name="learning_rate",
            min=1e-6,
            max=10,
            default=0.001,
            tunable=Recommended(min=1e-4, max=0.1, scale="Logarithmic"),
            doc="Length of Adam's steps.",
        ),
        Integer(
            name="mini_batch_size",
            min=1,
            max=500_000,
            default=10_000,
            tunable=Recommended(min=100, max=50_000),
            doc="Events of a mini-batch, over all hosts.",
        ),
        Integer(
            name="num_ip_encoder_layers",
            min=0,
            max=100,
            default=1,
            tunable=Recommended(min=1, max=10),
            doc="Fully connected layers of the encoder of addresses.",
        ),
        Integer(
            name="random_negative_sampling_rate",
            min=0,
            max=500,
            default=1,
            tunable=Recommended(min=0, max=10),
            doc="Addresses drawn at random for each event, as what it is not.",
        ),
        Integer(
            name="shuffled_negative_sampling_rate",
            min=0,
            max=500,
            default=1,
            tunable=Recommended(min=0, max=10),
            doc="Addresses of other events of the mini-batch for each event, as what it is not.",
        ),
        Continuous(
            name="weight_decay",
            min=0,
            max=10,
            default=0.00001,
            tunable=Recommended(min=0, max=1),
            doc="L2 regularisation.",
        ),
        FEATURE_DIM,
    )
    rules: ClassVar[tuple[Rule, ...]] = (_negatives, _size)
    artefacts: ClassVar[tuple[str, ...]] = ("ONNX", "NumPy archive")
    channels: ClassVar[tuple[Channel, ...]] = (
        Channel(
            name="train", content_types=_CSV, required=True, doc="Events: an entity and its IPv4 address."
        ),
        Channel(name="validation", content_types=_CSV, doc="Events that must be told from drawn ones."),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        metric(
            "validation:discriminator_auc",
            "Maximize",
            "validation discriminator_auc",
            kind="score",
            epoch=True,
        ),
        *(
            metric(
                f"train:{name}{end}", goal, f"{batch}train {name}", kind=kind, epoch=True, is_tunable=False
            )
            for name, goal, kind in (
                ("binary_classification_cross_entropy", "Minimize", "loss"),
                ("binary_classification_accuracy", "Maximize", "score"),
            )
            for end, batch in (("", r"batch=\S+ "), (":epoch", ""))
        ),
        *PASSES,
    )
    request_types: ClassVar[tuple[str, ...]] = (CSV, JSON, JSONLINES)
    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)


DEFINITION = IPInsights()
