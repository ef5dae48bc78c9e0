"""Hyperparameters of Object Detection; standard library only.

Source: developer guide, "Object Detection Hyperparameters" and "Tune an Object Detection Model".
"""

from __future__ import annotations

import re

from clary.algorithms._vision.declared import (
    FACTOR_DOC,
    KV_STORE,
    LR_SCHEDULER_STEP,
    NUM_CLASSES,
    NUM_TRAINING_SAMPLES,
    early_stopping,
    mini_batch_size,
)
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperparameters import (
    Categorical,
    Continuous,
    Hyperparameter,
    Integer,
    Params,
    Recommended,
    Text,
)

NETWORKS = ("vgg-16", "resnet-50")
OPTIMIZERS = ("sgd", "adam", "rmsprop", "adadelta")

HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    NUM_CLASSES,
    NUM_TRAINING_SAMPLES,
    Categorical(name="base_network", choices=NETWORKS, default="vgg-16", doc="The network that looks."),
    *early_stopping("validation:mAP", 10, 5),
    Integer(name="epochs", min=1, default=30, doc="Passes over the data, at most."),
    Text(
        name="freeze_layer_pattern",
        default="",
        doc="Regular expression: weights of the base network whose names it finds stay as they are.",
    ),
    Integer(name="image_shape", min=300, default=300, doc="Pixels of a side to which images are brought."),
    KV_STORE,
    Integer(
        name="label_width", min=1, default=350, doc="Numbers that an image's label may have, header and all."
    ),
    Continuous(
        name="learning_rate",
        above=0,
        max=1,
        default=0.001,
        tunable=Recommended(min=1e-6, max=0.5, scale="Logarithmic"),
        doc="Length of the optimiser's steps.",
    ),
    Continuous(name="lr_scheduler_factor", above=0, below=1, default=0.1, doc=FACTOR_DOC),
    LR_SCHEDULER_STEP,
    mini_batch_size(32, 8, 64),
    Continuous(
        name="momentum",
        above=0,
        max=1,
        default=0.9,
        tunable=Recommended(min=0, max=0.999),
        doc="Of sgd.",
    ),
    Continuous(
        name="nms_threshold",
        above=0,
        max=1,
        default=0.45,
        doc="Overlap from which the less likely of two boxes of one class is left out.",
    ),
    Categorical(
        name="optimizer", choices=OPTIMIZERS, default="sgd", tunable=OPTIMIZERS, doc="How steps are found."
    ),
    Continuous(
        name="overlap_threshold",
        above=0,
        max=1,
        default=0.5,
        doc="Overlap from which a box fits an object, in validation.",
    ),
    Integer(
        name="use_pretrained_model",
        min=0,
        max=1,
        default=1,
        doc="Whether the base network begins with pretrained weights.",
    ),
    Continuous(
        name="weight_decay",
        above=0,
        below=1,
        default=0.0005,
        tunable=Recommended(min=0, max=0.999),
        doc="L2 regularisation, of sgd and rmsprop.",
    ),
)


def pattern_is_one(params: Params) -> None:
    """Make sure that `freeze_layer_pattern` is a regular expression."""
    try:
        re.compile(params.text("freeze_layer_pattern"))
    except re.error as error:
        raise CustomerError(
            f"Hyperparameter freeze_layer_pattern: value {params['freeze_layer_pattern']} is no regular "
            f"expression: {error}"
        ) from error
