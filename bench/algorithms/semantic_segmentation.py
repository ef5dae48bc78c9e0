"""Semantic Segmentation: drawn shapes, each pixel known, by a network that begins anew."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench._bars import Report
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
    from clary.algorithms._vision import drawn  # noqa: PLC0415 - where torch is
    from clary.toolkit import recordio  # noqa: PLC0415 - as above

    rows = []
    for algorithm in ("fcn",):  # one of three: the others cost as much again
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            for channel, n_images, seed in (("train", N_TRAIN, 1), ("validation", N_TEST, 2)):
                draw = np.random.default_rng(seed)
                (folder / channel).mkdir()
                with (folder / channel / "images.rec").open("wb") as stream:
                    for _ in range(n_images):
                        scene = drawn.scene(draw, SIDE, n_shapes=2, share=(0.35, 0.6))
                        for each in (scene.pixels, scene.mask):
                            stream.write(recordio.wrap(drawn.png(each)))
            given = {**GIVEN, "algorithm": algorithm}
            (_, log), seconds = clock(lambda: train("semantic_segmentation", folder, given))  # noqa: B023
        finally:
            shutil.rmtree(folder)
        score = max(float(part.split()[0]) for part in log.split("validation mIOU: ")[1:])
        rows.append((algorithm, seconds, score))
    report.table(
        f"Semantic Segmentation, {N_TRAIN} drawn images of {SIDE} x {SIDE}, four classes, "
        f"{GIVEN['epochs']} epochs",
        ("", "images/s", "CPU seconds", "mIOU"),
        [
            (
                f"clary, {name}, resnet-50",
                f"{GIVEN['epochs'] * N_TRAIN / seconds:.1f}",
                f"{seconds:.0f}",
                f"{score:.3f}",
            )
            for name, seconds, score in rows
        ],
    )
    for name, _, score in rows:
        report.bar(f"Semantic Segmentation: {name}, what is missing of mIOU", 1 - score, 1 - LEAST, "")
