"""What the wire shows of Random Cut Forest; standard library only.

Source: developer guide, "RCF Hyperparameters", "Tune an RCF Model" and "Random Cut Forest (RCF) Algorithm";
SDK, `amazon/randomcutforest.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from clary.algorithms._declared import RowAlgorithm, channel, metric
from clary.algorithms.base import Channel, Metric
from clary.toolkit.hyperlists import Words
from clary.toolkit.hyperparameters import Hyperparameter, Integer, Recommended


class RandomCutForest(RowAlgorithm):
    """Anomaly scores, SageMaker's built-in `randomcutforest`."""

    name: ClassVar[str] = "randomcutforest"
    title: ClassVar[str] = "Random Cut Forest"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Integer(name="feature_dim", min=1, max=10_000, doc="Features of a row."),
        Words(
            name="eval_metrics",
            choices=("accuracy", "precision_recall_fscore"),
            default=("accuracy", "precision_recall_fscore"),
            doc="What is reported of the test channel.",
        ),
        Integer(
            name="num_samples_per_tree",
            min=1,
            max=2048,
            default=256,
            tunable=Recommended(min=1, max=2048),
            doc="Rows of a tree: about one over the share of anomalies.",
        ),
        Integer(
            name="num_trees",
            min=50,
            max=1000,
            default=100,
            tunable=Recommended(min=50, max=1000),
            doc="Trees; more of them make scores less noisy.",
        ),
        Integer(name="mini_batch_size", min=1, default=1000, doc="Sent by the SDK; read and passed over."),
    )
    channels: ClassVar[tuple[Channel, ...]] = (
        replace(channel("train", "Rows without labels.", required=True), distributions=("ShardedByS3Key",)),
        replace(
            channel("test", "Rows with a label: 1 for an anomaly, 0 for none."),
            distributions=("FullyReplicated",),
        ),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        metric("test:f1", "Maximize", "test f1", kind="score"),
        metric("test:precision", "Maximize", "test precision", kind="score", is_tunable=False),
        metric("test:recall", "Maximize", "test recall", kind="score", is_tunable=False),
        metric("test:accuracy", "Maximize", "test accuracy", kind="score", is_tunable=False),
    )


DEFINITION = RandomCutForest()
