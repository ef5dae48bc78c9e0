"""Image Classification: Fashion-MNIST, 60,000 images of 28 x 28, by 20 layers, at their size and from files.

The images are those of Debian's package `dataset-fashion-mnist`, which apt fetches and nobody installs.
Where it cannot be had, as many handwritten digits are made of scikit-learn's 1,797, shifted and slanted.
The network runs in the environment of torch; five minutes of two cores are 600 seconds of one.
"""

import gzip
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bench._bars import Report
from bench.algorithms._pictures import is_torch_here, packed
from bench.algorithms._trainings import clock, train

PACKAGE = "dataset-fashion-mnist"
CACHE = Path("build/bench/fashion-mnist")
BUDGET_S, LEAST = 600.0, 0.9
SIDE = 28
GIVEN = {
    "num_classes": 10,
    "num_layers": 20,
    "image_shape": f"1,{SIDE},{SIDE}",
    "mini_batch_size": 64,
    "learning_rate": 0.1,
    "optimizer": "nag",
    "lr_scheduler_step": "2",
    "epochs": 3,
}


def run(report: Report) -> None:
    if not is_torch_here(report, "Image Classification"):
        return
    from clary.algorithms._vision import drawn  # noqa: PLC0415 - where torch is
    from clary.toolkit import image_records, recordio  # noqa: PLC0415 - as above

    def frames(pixels: Any, kinds: Any) -> Iterator[bytes]:
        for each, kind in zip(pixels, kinds.tolist(), strict=True):
            record = image_records.ImageRecord((float(kind),), drawn.png(each))
            yield recordio.wrap(image_records.wrap(record))

    images, labels, test, wanted, name = _data()
    with packed({"train": frames(images, labels), "validation": frames(test, wanted)}) as folder:
        given = {**GIVEN, "num_training_samples": len(images)}
        (_, log), seconds = clock(lambda: train("image_classification", folder, given))
    accuracy = max(float(part.split()[0]) for part in log.split("Validation-accuracy=")[1:])
    rate = GIVEN["epochs"] * len(images) / seconds  # type: ignore[operator]
    report.table(
        f"Image Classification, {name}, {len(images):,} images of {SIDE} x {SIDE}, {GIVEN['epochs']} epochs",
        ("", "images/s", "CPU seconds", "accuracy"),
        [("clary, ResNet-20, files and all", f"{rate:,.0f}", f"{seconds:.0f}", f"{accuracy:.4f}")],
    )
    report.bar(
        "Image Classification: five minutes of two cores, of 600 CPU seconds", seconds / BUDGET_S, 1, "x"
    )
    report.bar(f"Image Classification: {name}, errors", 1 - accuracy, 1 - LEAST, "")


def _data() -> tuple[Any, Any, Any, Any, str]:
    """Return images and labels to learn from and to test, and what they are called."""
    if not CACHE.exists():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=False, capture_output=True)
            for package in Path(folder).glob("*.deb"):
                subprocess.run(["dpkg-deb", "-x", str(package), folder], check=True)
                CACHE.mkdir(parents=True)
                for path in Path(folder).rglob("*ubyte*"):
                    shutil.copy(path, CACHE)
    if CACHE.exists():
        train_images, train_labels = (_read(f"train-{kind}") for kind in ("images-idx3", "labels-idx1"))
        test_images, test_labels = (_read(f"t10k-{kind}") for kind in ("images-idx3", "labels-idx1"))
        return train_images, train_labels, test_images, test_labels, "Fashion-MNIST"
    return (*_digits(60_000, 0), *_digits(10_000, 1), "digits, moved")


def _read(name: str) -> Any:
    """Read an idx file: its shape stands behind four bytes, big-endian."""
    path = next(CACHE.glob(f"{name}*"))
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    n_axes = content[3]
    shape = np.frombuffer(content, ">u4", n_axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def _digits(n_images: int, half: int) -> tuple[Any, Any]:
    """Return digits of one half of those that scikit-learn has, enlarged and moved."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - where there is no package

    draw = np.random.default_rng(half)
    pictures, kinds = load_digits(return_X_y=True)
    chosen = 2 * draw.integers(0, len(kinds) // 2, n_images) + half
    found = np.zeros((n_images, SIDE, SIDE), np.uint8)
    for image, place in zip(found, chosen, strict=True):
        large = np.kron(pictures[place].reshape(8, 8) * 15.9, np.ones((3, 3))).astype(np.uint8)
        top, left = draw.integers(0, SIDE - 23, 2)
        image[top : top + 24, left : left + 24] = large
    return found, kinds[chosen]
