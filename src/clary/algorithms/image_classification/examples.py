"""Small trainings of Image Classification that print all its metrics; images are drawn with a seed."""

from __future__ import annotations

import numpy as np

from clary.algorithms._vision import drawn
from clary.algorithms.base import Example
from clary.toolkit import recordio
from clary.toolkit.image_records import ImageRecord, wrap

SIDE = 16


def frames(n_images: int, seed: int, *, is_multi: bool = False) -> tuple[bytes, ...]:
    """Return frames of images with one shape each, labelled with its kind."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(n_images):
        scene = drawn.scene(draw, SIDE, share=(0.6, 0.9))
        kind = scene.boxes[0][0]
        labels = tuple(float(each == kind) for each in range(drawn.N_KINDS)) if is_multi else (float(kind),)
        made.append(recordio.wrap(wrap(ImageRecord(labels, drawn.png(scene.pixels), number))))
    return tuple(made)


def _example(name: str, doc: str, **hyperparameters: str) -> Example:
    is_multi = hyperparameters.get("multi_label") == "1"
    return Example(
        name=name,
        doc=doc,
        hyperparameters={
            "num_classes": str(drawn.N_KINDS),
            "num_training_samples": "32",
            "num_layers": "20",
            "image_shape": f"3,{SIDE},{SIDE}",
            "mini_batch_size": "8",
            "learning_rate": "0.01",
            "epochs": "2",
            **hyperparameters,
        },
        content_type="application/x-recordio",
        channels={
            "train": frames(32, 1, is_multi=is_multi),
            "validation": frames(8, 2, is_multi=is_multi),
        },
        metrics=(
            "train:accuracy",
            "train:accuracy:epoch",
            "validation:accuracy",
            "validation:accuracy:epoch",
        ),
        request_type="application/x-image",
        requests=tuple(
            drawn.png(drawn.scene(np.random.default_rng(seed), SIDE).pixels) for seed in (7, 8, 9)
        ),
        shuffle_tolerance=1e-4,
    )


EXAMPLES = (
    _example("shapes", "Three shapes, by 20 layers."),
    _example("labels", "The same as labels of which an image may have several.", multi_label="1"),
)
