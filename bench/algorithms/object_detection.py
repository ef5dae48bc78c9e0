"""Object Detection: drawn shapes with known boxes, by SSD on ResNet-50 that begins anew.

Images of 96 pixels, less than the service takes: at 300 the same learning costs ten times as much.
"""

import contextlib
import io
from pathlib import Path
from typing import Any

from bench._bars import Report
from bench.algorithms._pictures import is_torch_here, packed
from bench.algorithms._trainings import clock

from clary.algorithms import base
from clary.toolkit.hyperparameters import Params

SIDE, N_TRAIN, N_TEST = 96, 400, 40
LEAST = 0.8
GIVEN: dict[str, Any] = {
    "num_classes": 3,
    "num_training_samples": N_TRAIN,
    "base_network": "resnet-50",
    "use_pretrained_model": 0,
    "mini_batch_size": 8,
    "optimizer": "adam",
    "learning_rate": 0.001,
    "lr_scheduler_step": "12",
    "epochs": 16,
}


def run(report: Report) -> None:
    if not is_torch_here(report, "Object Detection"):
        return
    from clary.algorithms.object_detection import examples  # noqa: PLC0415 - where torch is

    train, validation = (examples.frames(n, seed, SIDE) for n, seed in ((N_TRAIN, 1), (N_TEST, 2)))
    with packed({"train": train, "validation": validation}) as folder:
        log, seconds = clock(lambda: _trained(folder))
    score = max(float(part.split(")")[0]) for part in log.split("validation mAP <score>=(")[1:])
    rate = GIVEN["epochs"] * N_TRAIN / seconds
    report.table(
        f"Object Detection, {N_TRAIN} drawn images of {SIDE} x {SIDE}, three classes, {GIVEN['epochs']} "
        "epochs",
        ("", "images/s", "CPU seconds", "mAP at 0.5"),
        [("clary, SSD on resnet-50", f"{rate:.1f}", f"{seconds:.0f}", f"{score:.3f}")],
    )
    report.bar("Object Detection: what is missing of mAP at 0.5", 1 - score, 1 - LEAST, "")


def _trained(folder: Path) -> str:
    """Train at a size below the definition's least; return the log."""
    algorithm = base.find("object_detection")
    params = algorithm.validate({name: str(value) for name, value in GIVEN.items()})
    model_dir, log = folder / "model", io.StringIO()
    model_dir.mkdir()
    with contextlib.redirect_stdout(log):
        algorithm.fit(
            base.Training(
                params=Params({**params.values_by_name, "image_shape": SIDE}),
                sources={
                    name: base.Source(name=name, path=folder / name, content_type="application/x-recordio")
                    for name in ("train", "validation")
                },
                model_dir=model_dir,
                output_data_dir=folder / "output",
                n_threads=1,
            )
        )
    return log.getvalue()
