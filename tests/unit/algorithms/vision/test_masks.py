"""Channels of pictures and masks: what the masks' values mean."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._vision import drawn
from clary.algorithms.base import Source, Training
from clary.algorithms.semantic_segmentation._pictures import Pictures, labels_of
from clary.kernel.errors import CustomerError
from clary.toolkit import recordio

PIL = pytest.importorskip("PIL.Image", reason="needs pip install 'clary[torch]'")
COLOURS = drawn.png(np.full((4, 6, 3), 50, np.uint8))


def grey(*values: int, shape: tuple[int, int] = (4, 6)) -> bytes:
    return drawn.png(np.resize(np.array(values, np.uint8), shape))


def training(
    folder: Path, channels: dict[str, dict[str, bytes]], content_type: str = "image/jpeg"
) -> Training:
    sources = {}
    for name, files in channels.items():
        for path, content in files.items():
            (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / path).write_bytes(content)
        sources[name] = Source(name=name, path=folder / name, content_type=content_type)
    return Training(
        params=base.find("semantic_segmentation").validate({"num_classes": "3", "num_training_samples": "1"}),
        sources=sources,
        model_dir=folder,
        output_data_dir=folder,
    )


def classes(given: Training, folder: Path) -> Any:
    return Pictures(given, "train", folder).album[0][..., 3]


def test_values_of_a_mask_are_its_classes(tmp_path: Path) -> None:
    given = training(
        tmp_path, {"train": {"a/b.jpg": COLOURS}, "train_annotation": {"a/b.png": grey(0, 2, 255)}}
    )
    assert np.unique(classes(given, tmp_path)).tolist() == [0, 2, 255]
    assert Pictures(given, "train", tmp_path).album[0][..., :3].max() == 50


def test_masks_with_a_palette_are_their_indices(tmp_path: Path) -> None:
    mask = PIL.fromarray(np.resize(np.array([0, 1, 2], np.uint8), (4, 6)))
    mask.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    stream = io.BytesIO()
    mask.save(stream, "PNG")
    given = training(
        tmp_path, {"train": {"a.jpg": COLOURS}, "train_annotation": {"a.png": stream.getvalue()}}
    )
    assert np.unique(classes(given, tmp_path)).tolist() == [0, 1, 2]


def test_an_augmented_manifest_sends_masks_behind_pictures(tmp_path: Path) -> None:
    body = recordio.wrap(COLOURS) + recordio.wrap(grey(1))
    given = training(tmp_path, {"train": {"pipe": body}}, "application/x-recordio")
    assert np.unique(classes(given, tmp_path)).tolist() == [1]


@pytest.mark.parametrize("place", ["label_map/train_label_map.json", "train_annotation/label_map.json"])
@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"scale": "3"}, {0: 0, 3: 1, 7: 2, 255: 255}),
        ({"map": {"0": 5, "1": 0, "2": 2}}, {5: 0, 0: 1, 2: 2, 9: 255}),
    ],
)
def test_a_label_map_says_what_values_mean(
    place: str, document: dict[str, Any], wanted: dict[int, int], tmp_path: Path
) -> None:
    folder, name = place.split("/")
    found = labels_of(training(tmp_path, {folder: {name: json.dumps(document).encode()}}), "train")
    assert {value: int(found[value]) for value in wanted} == wanted


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (grey(0, 7), "train/a.jpg: its annotation has the label 7: it must be in range [0, 2]"),
        (grey(0, shape=(3, 3)), "its annotation has 3 x 3 pixels, and the image 6 x 4"),
        (COLOURS, "its annotation is a PNG of mode RGB"),
        (b"none", "not a JPEG or PNG image"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(mask: bytes, told: str, tmp_path: Path) -> None:
    given = training(tmp_path, {"train": {"a.jpg": COLOURS}, "train_annotation": {"a.png": mask}})
    with pytest.raises(CustomerError) as error:
        classes(given, tmp_path)
    assert told in str(error.value)


def test_a_picture_without_a_mask_is_named(tmp_path: Path) -> None:
    given = training(tmp_path, {"train": {"a.jpg": COLOURS}, "train_annotation": {"b.png": grey(0)}})
    with pytest.raises(
        CustomerError, match=r"'train_annotation' has no a\.png, the annotation of train/a\.jpg"
    ):
        Pictures(given, "train", tmp_path)


@pytest.mark.parametrize("body", [b"[", b"[1]", b'{"scale": "0"}', b'{"map": {"a": "b"}}'])
def test_a_label_map_that_is_none_says_so(body: bytes, tmp_path: Path) -> None:
    given = training(tmp_path, {"label_map": {"train_label_map.json": body}})
    with pytest.raises(CustomerError, match="label_map"):
        labels_of(given, "train")
