"""Hyperparameters, channels and rules that the algorithms of images share; standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.algorithms.base import Channel
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperlists import Sizes
from clary.toolkit.hyperparameters import Categorical, Continuous, Hyperparameter, Integer, Recommended

if TYPE_CHECKING:
    from clary.toolkit.hyperparameters import Params

RECORDIO, PICTURE, JPEG, PNG = "application/x-recordio", "application/x-image", "image/jpeg", "image/png"
PICTURES = (PICTURE, JPEG, PNG)
"""Content types of files of images."""
MODEL_TYPE = "application/x-sagemaker-model"
MODES = ("File", "FastFile", "Pipe")
FLAG = ("true", "false")

NUM_CLASSES = Integer(name="num_classes", min=1, doc="Classes that there are, 0 to one less.")
NUM_TRAINING_SAMPLES = Integer(
    name="num_training_samples", min=1, doc="Images of the train channel; what is there is what counts."
)
MODEL = Channel(
    name="model",
    content_types=(MODEL_TYPE,),
    modes=("File", "FastFile"),
    doc="A model.tar.gz of this algorithm that training goes on from.",
)


def pictures(name: str, doc: str, *, required: bool = False) -> Channel:
    """Declare a channel of images, in RecordIO or as files."""
    return Channel(name=name, doc=doc, content_types=(RECORDIO, *PICTURES), modes=MODES, required=required)


def early_stopping(metric: str, min_epochs: int, patience: int) -> tuple[Hyperparameter, ...]:
    """Declare when training ends early."""
    return (
        Categorical(
            name="early_stopping",
            choices=FLAG,
            default="false",
            doc=f"Whether training ends when {metric} rests.",
        ),
        Integer(
            name="early_stopping_min_epochs",
            min=1,
            default=min_epochs,
            doc="Epochs before training may end early.",
        ),
        Integer(
            name="early_stopping_patience",
            min=1,
            default=patience,
            doc="Epochs without improvement that end training.",
        ),
        Continuous(
            name="early_stopping_tolerance",
            min=0,
            max=1,
            default=0.0,
            doc=f"Relative gain of {metric} that is no improvement.",
        ),
    )


KV_STORE = Categorical(
    name="kv_store",
    choices=("dist_sync", "dist_async"),
    default=None,
    doc="How hosts exchange what they learn: dist_sync (also without) adds up the gradients of every step; "
    "dist_async lets each go its way and takes the mean of their weights every few steps.",
)
LR_SCHEDULER_STEP = Sizes(
    name="lr_scheduler_step",
    words=("",),
    default=None,
    doc="Epochs after which the learning rate is reduced: 10, 20.",
)


FACTOR_DOC = "What the learning rate is multiplied with then."


def steps_fit(params: Params) -> None:
    """Make sure that the epochs of `lr_scheduler_step` rise."""
    steps = params.get("lr_scheduler_step") or ()
    if list(steps) != sorted(set(steps)):
        shown = ", ".join(map(str, steps))
        raise CustomerError(
            f"Hyperparameter lr_scheduler_step: value {shown} must be epochs that rise, as 10, 20"
        )


def mini_batch_size(default: int, low: int, high: int) -> Integer:
    """Declare the size of a mini-batch."""
    return Integer(
        name="mini_batch_size",
        min=1,
        default=default,
        tunable=Recommended(min=low, max=high),
        doc="Images of a mini-batch, on each host.",
    )
