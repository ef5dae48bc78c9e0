"""What the wire shows of k-means; standard library only.

Source: developer guide, "K-Means Hyperparameters" and "Tune a K-Means Model"; SDK, `amazon/kmeans.py`.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import RowAlgorithm, channel, metric
from clary.algorithms.base import Channel, Metric
from clary.toolkit.hyperlists import Words
from clary.toolkit.hyperparameters import (
    Categorical,
    Continuous,
    Hyperparameter,
    Integer,
    Recommended,
)

SEEDING = ("random", "kmeans++")


class KMeans(RowAlgorithm):
    """K-means clustering, SageMaker's built-in `kmeans`."""

    name: ClassVar[str] = "kmeans"
    title: ClassVar[str] = "K-Means"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Integer(name="feature_dim", min=1, doc="Features of a row."),
        Integer(name="k", min=1, doc="Clusters wanted."),
        Integer(
            name="epochs", min=1, default=1, tunable=Recommended(min=1, max=10), doc="Passes over the data."
        ),
        Words(
            name="eval_metrics",
            choices=("msd", "ssd"),
            default=("msd",),
            doc="What is reported of the test channel: mean or sum of squared distances.",
        ),
        Integer(
            name="extra_center_factor",
            min=1,
            words=("auto",),
            default="auto",
            tunable=Recommended(min=4, max=10),
            doc="Centres kept during the passes, as a multiple of k; auto keeps k and a sample of the rows.",
        ),
        Integer(
            name="half_life_time_size",
            min=0,
            default=0,
            doc="Rows after which a row's weight is halved; 0 means that it stays.",
        ),
        Categorical(
            name="init_method",
            choices=SEEDING,
            default="random",
            tunable=("kmeans++", "random"),
            doc="How the first centres are chosen.",
        ),
        Categorical(
            name="local_lloyd_init_method",
            choices=SEEDING,
            default="kmeans++",
            doc="How Lloyd's method is seeded when the model is made.",
        ),
        Integer(
            name="local_lloyd_max_iter", min=1, default=300, doc="Iterations of Lloyd's method, at most."
        ),
        Integer(
            name="local_lloyd_num_trials",
            min=1,
            words=("auto",),
            default="auto",
            doc="Times that Lloyd's method is run, of which the best counts; auto means 2.",
        ),
        Continuous(
            name="local_lloyd_tol",
            min=0,
            max=1,
            default=0.0001,
            doc="Lloyd's method ends when the loss falls by less than this share.",
        ),
        Integer(
            name="mini_batch_size",
            min=1,
            default=5000,
            tunable=Recommended(min=3000, max=15000),
            doc="Rows of a mini-batch.",
        ),
    )
    channels: ClassVar[tuple[Channel, ...]] = (
        channel("train", "Rows to cluster.", required=True),
        channel("test", "Rows whose distances are reported."),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        metric("test:msd", "Minimize", "test msd"),
        metric("test:ssd", "Minimize", "test ssd"),
        metric("train:msd", "Minimize", "train msd", is_tunable=False),
    )


DEFINITION = KMeans()
