"""What the wire shows of the neural topic model; standard library only.

Source: developer guide, "NTM Hyperparameters" and "Tune an NTM Model"; SDK, `amazon/ntm.py`.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import FLAG, PASSES, RowAlgorithm, channel, metric
from clary.algorithms.base import Channel, Metric
from clary.toolkit.hyperlists import Sizes
from clary.toolkit.hyperparameters import Categorical, Continuous, Hyperparameter, Integer, Recommended

ACTIVATIONS = ("sigmoid", "tanh", "relu")
OPTIMIZERS = ("adadelta", "adagrad", "adam", "rmsprop", "sgd")


class NTM(RowAlgorithm):
    """A neural topic model, SageMaker's built-in `ntm`."""

    name: ClassVar[str] = "ntm"
    title: ClassVar[str] = "Neural Topic Model"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Integer(name="feature_dim", min=1, max=1_000_000, doc="Words of the vocabulary."),
        Integer(name="num_topics", min=2, max=1000, doc="Topics wanted."),
        Categorical(
            name="batch_norm",
            choices=FLAG,
            default="false",
            doc="Whether the encoder's layers are normalised over the mini-batch.",
        ),
        Continuous(
            name="clip_gradient",
            min=0.001,
            default=float("inf"),
            doc="Magnitude that each component of the gradient is cut to.",
        ),
        Sizes(
            name="encoder_layers",
            words=("auto",),
            default="auto",
            doc="Widths of the encoder's layers; auto takes 3 and 2 times num_topics.",
        ),
        Categorical(
            name="encoder_layers_activation",
            choices=ACTIVATIONS,
            default="sigmoid",
            tunable=ACTIVATIONS,
            doc="Activation of the encoder's layers.",
        ),
        Integer(name="epochs", min=1, default=50, doc="Passes over the data, at most."),
        Continuous(
            name="learning_rate",
            min=1e-6,
            max=1,
            default=0.001,
            tunable=Recommended(min=1e-4, max=0.1, scale="Logarithmic"),
            doc="Length of the optimiser's steps; adadelta finds its own.",
        ),
        Integer(
            name="mini_batch_size",
            min=1,
            max=10_000,
            default=256,
            tunable=Recommended(min=16, max=2048),
            doc="Documents of a mini-batch, over all hosts.",
        ),
        Integer(
            name="num_patience_epochs",
            min=1,
            default=3,
            doc="Passes within which the loss must fall, or training ends.",
        ),
        Categorical(
            name="optimizer",
            choices=OPTIMIZERS,
            default="adadelta",
            tunable=("sgd", "adam", "adadelta"),
            doc="How steps are found.",
        ),
        Continuous(
            name="rescale_gradient",
            min=0.001,
            max=1,
            default=1.0,
            tunable=Recommended(min=0.1, max=1),
            doc="Factor of the gradient.",
        ),
        Continuous(
            name="sub_sample", min=0, max=1, default=1.0, doc="Share of the documents that a pass draws."
        ),
        Continuous(
            name="tolerance",
            min=1e-6,
            max=0.1,
            default=0.001,
            doc="Relative fall of the loss that is none.",
        ),
        Continuous(
            name="weight_decay",
            min=0,
            max=1,
            default=0.0,
            tunable=Recommended(min=0, max=1),
            doc="L2 regularisation.",
        ),
    )
    artefacts: ClassVar[tuple[str, ...]] = ("ONNX", "NumPy archive")
    channels: ClassVar[tuple[Channel, ...]] = (
        channel("train", "Documents: how often each word of the vocabulary occurs.", required=True),
        channel("validation", "Documents by whose loss training ends."),
        channel("test", "Documents whose loss under the final model is reported."),
        Channel(
            name="auxiliary",
            content_types=("text/plain",),
            doc="vocab.txt: the vocabulary's words, one a line, for the log and the topics' coherence.",
        ),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        metric("validation:total_loss", "Minimize", "validation total_loss", epoch=True),
        metric("train:total_loss", "Minimize", "train total_loss", epoch=True, is_tunable=False),
        metric("test:total_loss", "Minimize", "test total_loss", is_tunable=False),
        *PASSES,
    )


DEFINITION = NTM()
