"""What Object Detection and Semantic Segmentation learn of a photograph of coins, in figures and a picture.

.venvs/torch/bin/python docs/_tools/coins.py [object_detection] [semantic_segmentation]

Needs scikit-image, whose wheel has the photograph. Writes docs/images/algorithms/<name>.png.
"""

import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import binary_fill_holes
from skimage import data, filters, measure, segmentation

from clary.algorithms import base
from clary.algorithms._vision.overlap import confusion, mean_iou
from clary.algorithms.base import Question, Source, Training

PICTURES = Path(__file__).resolve().parents[1] / "images/algorithms"
EDGE = 242
"""The column between coins to learn from, left of it, and coins to be judged by."""
N_TRAIN, N_VALIDATION, N_SHOWN = 32, 16, 6
SHOWN_FROM = 0.4
"""Likelihood of boxes that the picture shows."""
GIVEN: dict[str, dict[str, Any]] = {
    "object_detection": {
        "num_classes": 1,
        "base_network": "resnet-50",
        "use_pretrained_model": 0,
        "mini_batch_size": 4,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "lr_scheduler_step": "7",
        "epochs": 9,
    },
    "semantic_segmentation": {
        "num_classes": 2,
        "use_pretrained_model": "false",
        "base_size": 128,
        "crop_size": 128,
        "mini_batch_size": 4,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "epochs": 6,
    },
}
SIDES = {"object_detection": 300, "semantic_segmentation": 128}


class Crop(NamedTuple):
    """A square part of the photograph."""

    pixels: Any
    """Shape (side, side), greys."""
    mask: Any
    """Where coins are."""
    boxes: Any
    """Shape (n_coins, 4): left, top, right, bottom, in pixels."""


def coins() -> Crop:
    """Return the whole photograph, with its coins as scikit-image's own example finds them.

    Source: scikit-image's gallery, "Comparing edge-based and region-based segmentation".
    """
    pixels = data.coins()
    seeds = np.where(pixels < 30, 1, np.where(pixels > 150, 2, 0))
    mask = binary_fill_holes(segmentation.watershed(filters.sobel(pixels), seeds) == 2)
    found = [each for each in measure.regionprops(measure.label(mask)) if each.area > 100]
    return Crop(pixels, mask, np.array([np.array(each.bbox)[[1, 0, 3, 2]] for each in found]))


def crops(whole: Crop, n: int, seed: int, columns: tuple[int, int]) -> Iterator[Crop]:
    """Yield parts within columns of a photograph; a coin counts where more than half of it is seen."""
    draw = np.random.default_rng(seed)
    sizes = whole.boxes[:, 2:] - whole.boxes[:, :2]
    for _ in range(n):
        side = int(draw.integers(90, 131))
        left = int(draw.integers(columns[0], columns[1] - side + 1))
        top = int(draw.integers(0, len(whole.pixels) - side + 1))
        boxes = (whole.boxes - np.array((left, top, left, top))).clip(0, side)
        seen = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) > sizes.prod(axis=1) / 2
        part = np.s_[top : top + side, left : left + side]
        yield Crop(whole.pixels[part], whole.mask[part], boxes[seen])


def photograph(crop: Crop, side: int) -> Image.Image:
    """Return a crop in colours, as files of images have them."""
    return Image.fromarray(crop.pixels).convert("RGB").resize((side, side))


def write(folder: Path, channel: str, name: str, parts: list[Crop]) -> None:
    """Write a channel of images, and what is to be seen on them."""
    for each in (channel, f"{channel}_annotation"):
        (folder / each).mkdir()
    for number, crop in enumerate(parts):
        photograph(crop, SIDES[name]).save(folder / channel / f"{number}.png")
        path = folder / f"{channel}_annotation" / str(number)
        if name == "semantic_segmentation":
            mask = Image.fromarray(crop.mask.astype(np.uint8))
            mask.resize((SIDES[name],) * 2, Image.Resampling.NEAREST).save(path.with_suffix(".png"))
            continue
        side = len(crop.pixels)
        found = [
            {"class_id": 0, "left": left, "top": top, "width": right - left, "height": bottom - top}
            for left, top, right, bottom in crop.boxes.tolist()
        ]
        size = {"width": side, "height": side, "depth": 3}
        document = {"file": f"{number}.png", "image_size": [size], "annotations": found}
        path.with_suffix(".json").write_text(json.dumps(document))


def trained(name: str, folder: Path) -> tuple[Any, str, float]:
    """Train on a folder of channels; return what answers, the log and the seconds of a core."""
    algorithm, log, started = base.find(name), io.StringIO(), time.process_time()
    (folder / "model").mkdir()
    given = {**GIVEN[name], "num_training_samples": N_TRAIN}
    with contextlib.redirect_stdout(log):
        algorithm.fit(
            Training(
                params=algorithm.validate({key: str(value) for key, value in given.items()}),
                sources={
                    each: Source(name=each, path=folder / each, content_type="image/png")
                    for each in ("train", "validation", "train_annotation", "validation_annotation")
                },
                model_dir=folder / "model",
                output_data_dir=folder / "output",
                n_threads=1,
            )
        )
    return algorithm.load(folder / "model", {}), log.getvalue(), time.process_time() - started


def asked(predictor: Any, image: Image.Image) -> bytes:
    """Return what a model says of an image."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    [answer] = predictor.predict_many([Question(body=stream.getvalue(), content_type="image/jpeg")])
    body: bytes = answer.body
    return body


def boxed(predictor: Any, crop: Crop, side: int) -> Image.Image:
    """Return a crop with the boxes that are likely enough."""
    image = photograph(crop, side)
    pen = ImageDraw.Draw(image)
    for _, likely, *box in json.loads(asked(predictor, image))["prediction"]:
        if likely > SHOWN_FROM:
            pen.rectangle([each * side for each in box], outline=(255, 120, 0), width=3)
            pen.text((box[0] * side + 5, box[1] * side + 3), f"{likely:.2f}", (255, 180, 60))
    return image


def tinted(predictor: Any, crop: Crop, side: int) -> Image.Image:
    """Return a crop whose pixels of coins, as they are called, are blue."""
    image = photograph(crop, side)
    mask = np.array(Image.open(io.BytesIO(asked(predictor, image)))) * np.uint8(110)
    image.paste(Image.new("RGB", image.size, (30, 110, 255)), mask=Image.fromarray(mask))
    return image


def otsu(parts: list[Crop]) -> float:
    """Return the mean IOU of what is brighter than Otsu's threshold of each crop."""
    counts = np.zeros((2, 2), np.int64)
    for crop in parts:
        said = binary_fill_holes(crop.pixels > filters.threshold_otsu(crop.pixels))
        counts += confusion(said.astype(np.int64).ravel(), crop.mask.astype(np.int64).ravel(), 2)
    return float(mean_iou(counts))


def main(names: list[str]) -> int:
    """Train, say how good it is, and draw."""
    whole = coins()
    train = list(crops(whole, N_TRAIN, 1, (0, EDGE)))
    validation = list(crops(whole, N_VALIDATION, 2, (EDGE, whole.pixels.shape[1])))
    sys.stdout.write(f"threshold of Otsu: mIOU {otsu(validation):.3f}\n")
    for name in names or list(GIVEN):
        with tempfile.TemporaryDirectory() as folder:
            for channel, parts in (("train", train), ("validation", validation)):
                write(Path(folder), channel, name, parts)
            predictor, log, seconds = trained(name, Path(folder))
            drawn = boxed if name == "object_detection" else tinted
            shown = [drawn(predictor, each, 200) for each in validation[:N_SHOWN]]
        lines = [line for line in log.splitlines() if "mAP" in line or "mIOU" in line]
        sys.stdout.write("\n".join((*lines, f"{name}: {seconds:.0f} seconds of a core\n")))
        board = Image.new("RGB", (200 * N_SHOWN // 2 + 4, 404), (255, 255, 255))
        for place, image in enumerate(shown):
            board.paste(image, (place % 3 * 202, place // 3 * 204))
        PICTURES.mkdir(exist_ok=True)
        board.quantize(64).save(PICTURES / f"{name.replace('_', '-')}.png", optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
