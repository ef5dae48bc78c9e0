"""Channels of pictures and objects. Nothing is decoded here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._vision import drawn
from clary.algorithms.base import Source, Training
from clary.algorithms.object_detection._pictures import Pictures
from clary.kernel.errors import CustomerError
from clary.toolkit import recordio
from clary.toolkit.image_records import ImageRecord, wrap

PICTURE = drawn.png(np.zeros((4, 4, 3), np.uint8))
DOG = {"class_id": 1, "left": 10, "top": 20, "width": 30, "height": 40}
ANNOTATION = {"image_size": [{"width": 100, "height": 200, "depth": 3}], "annotations": [DOG]}


def training(
    folder: Path,
    channels: dict[str, dict[str, bytes]],
    content_type: str = "application/x-recordio",
    **given: str,
) -> Training:
    sources = {}
    for name, files in channels.items():
        for path, content in files.items():
            (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / path).write_bytes(content)
        sources[name] = Source(name=name, path=folder / name, content_type=content_type)
    common = {"num_classes": "2", "num_training_samples": "1"}
    return Training(
        params=base.find("object_detection").validate({**common, **given}),
        sources=sources,
        model_dir=folder,
        output_data_dir=folder,
    )


def packed(*label: float) -> bytes:
    return recordio.wrap(wrap(ImageRecord(label, PICTURE)))


def objects(given: Training, folder: Path) -> Any:
    [found] = Pictures(given, "train", folder).objects
    return found


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        ((2, 5, 1, 0.1, 0.2, 0.3, 0.4), [[1, 0.1, 0.2, 0.3, 0.4, 0]]),
        ((2, 6, 1, 0.1, 0.2, 0.3, 0.4, 1), [[1, 0.1, 0.2, 0.3, 0.4, 1]]),
        ((4, 5, 640, 480, 0, 0, 0, 1, 1.01, -1, -1, -1, -1, -1), [[0, 0, 0, 1, 1, 0]]),
        ((2, 5), []),
    ],
)
def test_labels_begin_with_their_widths(label: tuple[float, ...], wanted: Any, tmp_path: Path) -> None:
    found = objects(training(tmp_path, {"train": {"a": packed(*label)}}), tmp_path)
    np.testing.assert_allclose(found, np.array(wanted, float).reshape(-1, 6), rtol=1e-6)


def test_annotations_are_pixels_of_the_image_that_they_name(tmp_path: Path) -> None:
    files = {"train": {"dogs/a.jpg": PICTURE}}
    document = json.dumps({"file": "dogs/a.jpg", **ANNOTATION}).encode()
    given = training(tmp_path, {**files, "train_annotation": {"x.json": document}}, "image/jpeg")
    np.testing.assert_allclose(objects(given, tmp_path), [[1, 0.1, 0.1, 0.4, 0.3, 0]], rtol=1e-6)
    bare = {**files, "train_annotation": {"dogs/a.json": json.dumps(ANNOTATION).encode()}}
    np.testing.assert_allclose(objects(training(tmp_path / "2", bare, "image/jpeg"), tmp_path)[0, 0], 1)


def test_an_augmented_manifest_sends_annotations_behind_pictures(tmp_path: Path) -> None:
    body = recordio.wrap(PICTURE) + recordio.wrap(json.dumps(ANNOTATION).encode())
    given = training(tmp_path, {"train": {"pipe": body}})
    np.testing.assert_allclose(objects(given, tmp_path), [[1, 0.1, 0.1, 0.4, 0.3, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            packed(2, 5, 2, 0.1, 0.1, 0.2, 0.2),
            "train/a, record 0 has an object of class 2: it must be an integer",
        ),
        (packed(2, 5, 1, 0.5, 0.1, 0.2, 0.2), "has a box that is none"),
        (packed(2, 5, 1, 0.1, 0.1, 40, 40), "has a box that is none"),
        (packed(3), "has the label 3: it must begin with the width of its header"),
        (packed(2, 5, 1, 0.1), "has the label 2, 5, 1, 0.1"),
        (packed(2, 5, *[1, 0.1, 0.1, 0.2, 0.2] * 3), "a label of 17 numbers: label_width is 12"),
        (recordio.wrap(PICTURE) + recordio.wrap(b"{}"), "its annotation must be JSON with image_size"),
    ],
)
def test_a_bad_annotation_is_named(body: bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(CustomerError) as error:
        objects(training(tmp_path, {"train": {"a": body}}, label_width="12"), tmp_path)
    assert told in str(error.value)


def test_an_annotation_without_an_image_is_named(tmp_path: Path) -> None:
    channels = {"train": {"a.jpg": PICTURE}, "train_annotation": {"b.json": json.dumps(ANNOTATION).encode()}}
    with pytest.raises(CustomerError, match=r"'train' has no image of train_annotation/b\.json"):
        objects(training(tmp_path, channels, "image/jpeg"), tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"image_shape": "299"}, "image_shape: value 299 not in range"),
        ({"freeze_layer_pattern": "("}, "freeze_layer_pattern: value ( is no regular expression"),
        ({"lr_scheduler_factor": "1"}, "lr_scheduler_factor: value 1 not in range"),
    ],
)
def test_hyperparameters_out_of_range_are_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(CustomerError) as error:
        base.find("object_detection").validate({"num_classes": "2", "num_training_samples": "1", **given})
    assert told in str(error.value)
