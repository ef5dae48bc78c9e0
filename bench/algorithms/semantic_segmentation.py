"""Semantic Segmentation: drawn shapes, each pixel known, by a network that begins anew."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from bench._bars import Report
from bench.algorithms._pictures import is_torch_here, packed
from bench.algorithms._trainings import clock, train

SIDE, N_TRAIN, N_TEST = 48, 120, 30
LEAST = 0.8
GIVEN: dict[str, Any] = {
    "num_classes": 4,
    "num_training_samples": N_TRAIN,
    "use_pretrained_model": "False",
    "base_size": SIDE,
    "crop_size": SIDE,
    "mini_batch_size": 6,
    "optimizer": "adam",
    "learning_rate": 0.001,
    "epochs": 16,
}


def run(report: Report) -> None:
    if not is_torch_here(report, "Semantic Segmentation"):
        return
    from clary.algorithms._vision import drawn  # noqa: PLC0415 - where torch is
    from clary.toolkit import recordio  # noqa: PLC0415 - as above

    def turns(n_images: int, seed: int) -> Iterator[bytes]:
        draw = np.random.default_rng(seed)
        for _ in range(n_images):
            scene = drawn.scene(draw, SIDE, n_shapes=2, share=(0.35, 0.6))
            yield from (recordio.wrap(drawn.png(each)) for each in (scene.pixels, scene.mask))

    with packed({"train": turns(N_TRAIN, 1), "validation": turns(N_TEST, 2)}) as folder:
        (_, log), seconds = clock(lambda: train("semantic_segmentation", folder, GIVEN))
    score = max(float(part.split()[0]) for part in log.split("validation mIOU: ")[1:])
    rate = GIVEN["epochs"] * N_TRAIN / seconds
    report.table(
        f"Semantic Segmentation, {N_TRAIN} drawn images of {SIDE} x {SIDE}, four classes, "
        f"{GIVEN['epochs']} epochs",
        ("", "images/s", "CPU seconds", "mIOU"),
        [("clary, fcn, resnet-50", f"{rate:.1f}", f"{seconds:.0f}", f"{score:.3f}")],
    )
    report.bar("Semantic Segmentation: what is missing of mIOU", 1 - score, 1 - LEAST, "")
