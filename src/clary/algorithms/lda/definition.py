"""What the wire shows of LDA; standard library only.

Source: developer guide, "LDA Hyperparameters", "Tune an LDA Model" and "Latent Dirichlet Allocation (LDA)
Algorithm"; SDK, `amazon/lda.py`.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import RowAlgorithm, channel, metric
from clary.algorithms.base import Channel, Instances, Metric
from clary.toolkit.hyperparameters import Continuous, Hyperparameter, Integer, Recommended


class LDA(RowAlgorithm):
    """Topics of documents, SageMaker's built-in `lda`."""

    name: ClassVar[str] = "lda"
    title: ClassVar[str] = "LDA"
    instances: ClassVar[Instances] = Instances(cpu=True, gpu=False, distributed=False)
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Integer(name="num_topics", min=1, tunable=Recommended(min=1, max=150), doc="Topics wanted."),
        Integer(name="feature_dim", min=1, doc="Words of the vocabulary."),
        Integer(
            name="mini_batch_size",
            min=1,
            doc="Documents of the train channel; all are read, whatever it says.",
        ),
        Continuous(
            name="alpha0",
            above=0,
            default=1.0,
            tunable=Recommended(min=0.1, max=10),
            doc="Sum of the Dirichlet prior: small for documents of few topics, above 1 for many in each.",
        ),
        Integer(
            name="max_restarts",
            min=1,
            default=10,
            doc="Starts of the decomposition, at most: one that finds the best fit again is the last.",
        ),
        Integer(name="max_iterations", min=1, default=1000, doc="Iterations of each, at most."),
        Continuous(
            name="tol", above=0, default=1e-8, doc="Each ends when the fit changes by less than this share."
        ),
    )
    channels: ClassVar[tuple[Channel, ...]] = (
        channel("train", "Documents, as counts of every word of the vocabulary.", required=True),
        channel("test", "Documents whose likelihood is reported."),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (metric("test:pwll", "Maximize", "test pwll", kind="score"),)


DEFINITION = LDA()
