"""A small training of Semantic Segmentation that prints all its metrics; images are drawn with a seed."""

from __future__ import annotations

import numpy as np

from clary.algorithms._vision import drawn
from clary.algorithms.base import Example
from clary.toolkit import recordio

SIDE = 24


def turns(n_images: int, seed: int) -> tuple[bytes, ...]:
    """Return images and masks, as an augmented manifest sends them."""
    draw = np.random.default_rng(seed)
    scenes = [drawn.scene(draw, SIDE, kinds=1, share=(0.4, 0.8)) for _ in range(n_images)]
    return tuple(
        recordio.wrap(drawn.png(each.pixels)) + recordio.wrap(drawn.png(each.mask)) for each in scenes
    )


EXAMPLES = (
    Example(
        name="discs",
        doc="Discs on a ground, by a fully convolutional network.",
        hyperparameters={
            "num_classes": "2",
            "num_training_samples": "4",
            "use_pretrained_model": "false",
            "base_size": "32",
            "crop_size": "32",
            "mini_batch_size": "2",
            "learning_rate": "0.01",
            "epochs": "1",
        },
        content_type="application/x-recordio",
        channels={"train": turns(4, 1), "validation": turns(2, 2)},
        metrics=(
            "train:loss",
            "train:throughput",
            "validation:mIOU",
            "validation:pixel_accuracy",
            "validation:throughput",
        ),
        request_type="image/png",
        requests=tuple(drawn.png(drawn.scene(np.random.default_rng(seed), SIDE).pixels) for seed in (7, 8)),
        answer_type="application/x-recordio-protobuf",
        shuffle_tolerance=1e-3,
    ),
)
