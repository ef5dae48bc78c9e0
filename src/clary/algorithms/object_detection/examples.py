"""A small training of Object Detection that prints all its metrics; images are drawn with a seed."""

from __future__ import annotations

import numpy as np

from clary.algorithms._vision import drawn
from clary.algorithms.base import Example
from clary.toolkit import recordio
from clary.toolkit.image_records import ImageRecord, wrap

SIDE = 60


def frames(n_images: int, seed: int, side: int = SIDE, n_shapes: int = 2) -> tuple[bytes, ...]:
    """Return frames of images of shapes, labelled as `im2rec --pack-label` does."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(n_images):
        scene = drawn.scene(draw, side, n_shapes, share=(0.25, 0.5))
        objects = [(float(kind), *(each / side for each in box)) for kind, *box in scene.boxes]
        labels = (2.0, 5.0, *(each for one in objects for each in one))
        made.append(recordio.wrap(wrap(ImageRecord(labels, drawn.png(scene.pixels), number))))
    return tuple(made)


EXAMPLES = (
    Example(
        name="shapes",
        doc="Shapes on a ground, by ResNet-50.",
        hyperparameters={
            "num_classes": str(drawn.N_KINDS),
            "num_training_samples": "2",
            "base_network": "resnet-50",
            "use_pretrained_model": "0",
            "mini_batch_size": "2",
            "epochs": "1",
        },
        content_type="application/x-recordio",
        channels={"train": frames(2, 1), "validation": frames(1, 2)},
        metrics=(
            "validation:mAP",
            "train:cross_entropy",
            "train:smooth_l1",
            "train:progress",
            "train:throughput",
        ),
        request_type="image/jpeg",
        requests=tuple(drawn.png(drawn.scene(np.random.default_rng(seed), SIDE).pixels) for seed in (7, 8)),
        shuffle_tolerance=1e-3,
    ),
)
