"""Hyperparameters of Image Classification; standard library only.

Source: developer guide, "Image Classification Hyperparameters" and "Tune an Image Classification Model".
"""

from __future__ import annotations

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
from clary.toolkit.hyperlists import Sizes
from clary.toolkit.hyperparameters import (
    Categorical,
    Continuous,
    Hyperparameter,
    Integer,
    Params,
    Recommended,
)

LARGE, SMALL = (18, 34, 50, 101, 152, 200), (20, 32, 44, 56, 110)
"""Layers of networks for large images, and for small ones. Source: developer guide."""
AUGMENTATIONS = ("crop", "crop_color", "crop_color_transform")
OPTIMIZERS = ("sgd", "adam", "rmsprop", "nag")
LEAST_SIDE = 16


class Layers(Integer):
    """A number of layers that a residual network can have."""

    @property
    def range_text(self) -> str:
        """Spell them."""
        return f"[{', '.join(map(str, (*LARGE, *SMALL)))}]"

    def admits(self, value: object) -> bool:
        """Say whether there is such a network."""
        return value in (*LARGE, *SMALL)


def _share(name: str, default: float, doc: str, tunable: Recommended | None = None) -> Continuous:
    return Continuous(name=name, min=0, max=1, default=default, tunable=tunable, doc=doc)


def _flag(name: str, doc: str) -> Integer:
    return Integer(name=name, min=0, max=1, default=0, doc=doc)


HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    NUM_CLASSES,
    NUM_TRAINING_SAMPLES,
    Categorical(
        name="augmentation_type",
        choices=AUGMENTATIONS,
        default=None,
        doc="How training changes images: parts, mirrored; also colours; also turned, slanted, stretched.",
    ),
    _share("beta_1", 0.9, "Decay of adam's mean of gradients.", Recommended(min=1e-6, max=0.999)),
    _share("beta_2", 0.999, "Decay of adam's mean of squares.", Recommended(min=1e-6, max=0.999)),
    Integer(
        name="checkpoint_frequency",
        min=1,
        default=None,
        doc="Epochs between those whose weights the model holds too; without, the best epoch's alone.",
    ),
    *early_stopping("validation:accuracy", 10, 5),
    Integer(name="epochs", min=1, default=30, doc="Passes over the data, at most."),
    _share(
        "eps",
        1e-8,
        "What adam and rmsprop add to a divisor.",
        Recommended(min=1e-8, max=1, scale="Logarithmic"),
    ),
    _share("gamma", 0.9, "Decay of rmsprop's mean of squares.", Recommended(min=1e-8, max=0.999)),
    Sizes(
        name="image_shape",
        default=(3, 224, 224),
        doc="Channels (3, or 1 for grey), height and width of the images that the network sees.",
    ),
    KV_STORE,
    _share(
        "learning_rate",
        0.1,
        "Length of the optimiser's steps.",
        Recommended(min=1e-6, max=0.5, scale="Logarithmic"),
    ),
    _share("lr_scheduler_factor", 0.1, FACTOR_DOC),
    LR_SCHEDULER_STEP,
    mini_batch_size(32, 8, 512),
    _share("momentum", 0.9, "Of sgd and nag.", Recommended(min=0, max=0.999)),
    _flag("multi_label", "Whether an image may have several labels."),
    Layers(
        name="num_layers",
        default=152,
        doc="Layers of the residual network; the second five suit small images.",
    ),
    Categorical(
        name="optimizer", choices=OPTIMIZERS, default="sgd", tunable=OPTIMIZERS, doc="How steps are found."
    ),
    Categorical(
        name="precision_dtype",
        choices=("float32", "float16"),
        default="float32",
        doc="float16 computes products in half precision, as bfloat16; weights stay float32.",
    ),
    Integer(
        name="resize",
        min=1,
        default=None,
        doc="Pixels of an image's short side before parts are taken; required for images in files.",
    ),
    Integer(
        name="top_k",
        min=2,
        default=None,
        doc="Also report how often the label is among the likeliest so many.",
    ),
    _flag("use_pretrained_model", "Whether to begin with pretrained weights; the last layer begins anew."),
    _flag("use_weighted_loss", "Whether rare labels weigh more, with multi_label."),
    _share("weight_decay", 1e-4, "L2 regularisation, of sgd and nag.", Recommended(min=0, max=0.999)),
)


def shape_fits(params: Params) -> None:
    """Make sure that there are such images, and pretrained weights for them."""
    shape = params["image_shape"]
    shown = ",".join(map(str, shape))
    if len(shape) != 3 or shape[0] not in {1, 3}:
        raise CustomerError(
            f"Hyperparameter image_shape: value {shown} must be channels (1 or 3), height and width, as "
            "3,224,224"
        )
    if min(shape[1:]) < LEAST_SIDE:
        raise CustomerError(
            f"Hyperparameter image_shape: value {shown} not in range: sides of at least {LEAST_SIDE}"
        )
    if params["use_pretrained_model"] and params["num_layers"] not in LARGE:
        raise CustomerError(
            f"Hyperparameter num_layers: value {params['num_layers']} has no pretrained model: "
            "use_pretrained_model=1 "
            f"needs one of {', '.join(map(str, LARGE))}"
        )
    resize = params.get("resize")
    if resize is not None and resize < min(shape[1:]):
        raise CustomerError(
            f"Hyperparameter resize: value {resize} is less than the sides of image_shape {shown}"
        )


def numbers_fit(params: Params) -> None:
    """Make sure that counts are no larger than what they count."""
    frequency, top_k = params.get("checkpoint_frequency"), params.get("top_k")
    if frequency is not None and frequency > params["epochs"]:
        raise CustomerError(
            f"Hyperparameter checkpoint_frequency: value {frequency} not in range [1, "
            f"{params['epochs']}], the epochs"
        )
    if top_k is not None and top_k > params["num_classes"]:
        raise CustomerError(
            f"Hyperparameter top_k: value {top_k} not in range [2, {params['num_classes']}], the classes"
        )
