"""Hyperparameters of Semantic Segmentation; standard library only.

Source: developer guide, "Semantic Segmentation Hyperparameters" and "Tuning a Semantic Segmentation Model".
"""

from __future__ import annotations

from clary.algorithms._vision.declared import FLAG, LR_SCHEDULER_STEP, NUM_TRAINING_SAMPLES, early_stopping
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperparameters import (
    Categorical,
    Continuous,
    Hyperparameter,
    Integer,
    Params,
    Recommended,
)

ALGORITHMS = ("fcn", "psp", "deeplab")
BACKBONES = ("resnet-50", "resnet-101")
OPTIMIZERS = ("sgd", "adam", "rmsprop", "nag", "adagrad")
SCHEDULES = ("poly", "cosine", "step")

HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    Integer(name="num_classes", min=2, max=254, doc="Classes that there are, 0 to one less."),
    NUM_TRAINING_SAMPLES,
    Categorical(
        name="algorithm",
        choices=ALGORITHMS,
        default="fcn",
        doc="Fully convolutional network, pyramid scene parsing, or the third DeepLab.",
    ),
    Categorical(name="backbone", choices=BACKBONES, default="resnet-50", doc="The network that looks."),
    Integer(
        name="base_size",
        above=16,
        default=520,
        doc="Pixels of an image's long side before a part of it is taken, times 0.5 to 2 by chance.",
    ),
    Integer(
        name="crop_size",
        above=16,
        default=240,
        doc="Pixels of the square part; rounded up to a multiple of 8.",
    ),
    *early_stopping("validation:mIOU", 5, 4),
    Integer(name="epochs", min=1, default=10, doc="Passes over the data, at most."),
    Continuous(name="gamma1", min=0, max=1, default=0.9, doc="Decay of rmsprop's mean of squares."),
    Continuous(name="gamma2", min=0, max=1, default=0.9, doc="Momentum of rmsprop."),
    Continuous(
        name="learning_rate",
        above=0,
        max=1,
        default=0.001,
        tunable=Recommended(min=1e-4, max=1e-1, scale="Logarithmic"),
        doc="Length of the optimiser's steps at the beginning.",
    ),
    Categorical(
        name="lr_scheduler",
        choices=SCHEDULES,
        default="poly",
        doc="How the learning rate falls: by a power, as a cosine, or by factors at epochs.",
    ),
    Continuous(
        name="lr_scheduler_factor",
        min=0,
        max=1,
        default=0.1,
        doc="What the learning rate is multiplied with, where lr_scheduler is step.",
    ),
    LR_SCHEDULER_STEP,
    Integer(
        name="mini_batch_size",
        min=1,
        default=16,
        tunable=Recommended(min=1, max=128),
        doc="Images of a mini-batch.",
    ),
    Continuous(
        name="momentum",
        above=0,
        max=1,
        default=0.9,
        tunable=Recommended(min=0.9, max=0.999),
        doc="Of sgd and nag.",
    ),
    Categorical(
        name="optimizer",
        choices=OPTIMIZERS,
        default="sgd",
        tunable=("sgd", "adam"),
        doc="How steps are found.",
    ),
    Categorical(
        name="syncbn",
        choices=FLAG,
        default="false",
        doc="Whether normalisation counts the images of all GPUs: it does here, one computes.",
    ),
    Categorical(
        name="use_pretrained_model",
        choices=FLAG,
        default="true",
        doc="Whether the backbone begins with pretrained weights.",
    ),
    Integer(
        name="validation_mini_batch_size", min=1, default=16, doc="Images of a mini-batch of validation."
    ),
    Continuous(
        name="weight_decay",
        above=0,
        below=1,
        default=1e-4,
        tunable=Recommended(min=1e-5, max=1e-3, scale="Logarithmic"),
        doc="L2 regularisation, of sgd.",
    ),
)


def schedule_fits(params: Params) -> None:
    """Make sure that a rate that falls by factors has epochs at which it does."""
    if params["lr_scheduler"] == "step" and not params.get("lr_scheduler_step"):
        raise CustomerError(
            "Hyperparameter lr_scheduler_step is required where lr_scheduler is step: epochs, as 10, 20"
        )
