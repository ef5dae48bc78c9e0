"""Channels of images: where they lie, and what they are labelled with. Nothing is decoded here."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._vision import drawn
from clary.algorithms.base import Source, Training
from clary.algorithms.image_classification._pictures import Pictures
from clary.kernel.errors import CustomerError
from clary.toolkit import recordio
from clary.toolkit.image_records import ImageRecord, wrap

RECORDIO, FILES = "application/x-recordio", "application/x-image"
PICTURE = drawn.png(np.zeros((4, 4, 3), np.uint8))


def training(
    folder: Path, channels: dict[str, dict[str, bytes]], content_type: str = RECORDIO, **given: str
) -> Training:
    sources = {}
    for name, files in channels.items():
        for path, content in files.items():
            (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / path).write_bytes(content)
        (folder / name).mkdir(exist_ok=True)
        sources[name] = Source(name=name, path=folder / name, content_type=content_type)
    params = {"num_classes": "3", "num_training_samples": "2", "num_layers": "20", "image_shape": "3,16,16"}
    return Training(
        params=base.find("image_classification").validate({**params, **given}),
        sources=sources,
        model_dir=folder / "model",
        output_data_dir=folder / "output",
    )


def packed(*labels: tuple[float, ...]) -> bytes:
    return b"".join(
        recordio.wrap(wrap(ImageRecord(each, PICTURE + bytes([number]))))
        for number, each in enumerate(labels)
    )


def turns(*annotations: Any) -> bytes:
    """Return what an augmented manifest sends: images and annotations in turns."""
    return b"".join(
        recordio.wrap(PICTURE + bytes([number]))
        + recordio.wrap(each if isinstance(each, bytes) else json.dumps(each).encode())
        for number, each in enumerate(annotations)
    )


def targets(given: Training, folder: Path, channel: str = "train") -> Any:
    return sorted(Pictures(given, channel, folder).targets.tolist())


def refused(given: Training, folder: Path) -> str:
    with pytest.raises(CustomerError) as error:
        Pictures(given, "train", folder)
    return str(error.value)


def test_labels_of_packed_images_are_their_headers(tmp_path: Path) -> None:
    given = training(tmp_path, {"train": {"a.rec": packed((2,), (0,)), "b.rec": packed((1,))}})
    assert targets(given, tmp_path) == [0, 1, 2]


def test_several_labels_are_zeros_and_ones(tmp_path: Path) -> None:
    given = training(tmp_path, {"train": {"a.rec": packed((1, 0, 1), (0, 0, 1))}}, multi_label="1")
    assert targets(given, tmp_path) == [[0, 0, 1], [1, 0, 1]]


def test_an_augmented_manifest_sends_labels_behind_images(tmp_path: Path) -> None:
    given = training(tmp_path, {"train": {"a": turns("1", 2, b"0")}})
    assert targets(given, tmp_path) == [0, 1, 2]


def test_numbers_of_classes_are_read_where_the_content_type_says_so(tmp_path: Path) -> None:
    form = f"{RECORDIO}; label-format=class-id"
    given = training(tmp_path, {"train": {"a": turns([0, 2], [2], [])}}, form, multi_label="1")
    assert targets(given, tmp_path) == [[0, 0, 0], [0, 0, 1], [1, 0, 1]]


@pytest.mark.parametrize("content_type", [RECORDIO, "application/x-image"])
def test_a_fifo_is_read_once_and_kept_on_disk(content_type: str, tmp_path: Path) -> None:
    given = training(tmp_path, {"train": {}})
    fifo = tmp_path / "pipe_0"
    os.mkfifo(fifo)
    sources = {"train": Source(name="train", path=tmp_path / "pipe", content_type=content_type, mode="Pipe")}
    writer = threading.Thread(target=fifo.write_bytes, args=(packed((1,), (0,)),), daemon=True)
    writer.start()
    found = Pictures(Training(**{**vars(given), "sources": sources}), "train", tmp_path)
    writer.join()
    assert sorted(found.targets.tolist()) == [0, 1]


def test_a_list_names_the_files_and_their_labels(tmp_path: Path) -> None:
    files = {"train": {"cats/a.jpg": PICTURE, "b.png": PICTURE, "c.jpg": PICTURE}}
    lst = {"train_lst": {"train.lst": b"5\t1\tcats/a.jpg\n1000   0   b.png\n\n"}}
    assert targets(training(tmp_path, {**files, **lst}, FILES, resize="16"), tmp_path) == [0, 1]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (packed((3,)), "train/a, record 0 has the label 3: it must be an integer in range [0, 2]"),
        (packed((0.5,)), "has the label 0.5"),
        (packed((0,), (1, 2)), "record 1 has the label 1, 2"),
        (b"not recordio", "train/a: no RecordIO frame at byte 0"),
        (recordio.wrap(b"tiny"), "train/a, record 0: an image record has a header of 24 bytes"),
        (turns("cat"), "has the label '\"cat\"'"),
        (turns(1)[:-12] + recordio.wrap(b"1") + recordio.wrap(PICTURE), "odd number of records"),
    ],
)
def test_a_bad_record_is_named(body: bytes, told: str, tmp_path: Path) -> None:
    assert told in refused(training(tmp_path, {"train": {"a": body}}), tmp_path)


def test_a_list_that_does_not_fit_its_files_names_the_line(tmp_path: Path) -> None:
    lists = {"absent": b"1\t0\tb.jpg\n", "unlabelled": b"1\ta.jpg\n"}
    told = {
        "absent": "no image b.jpg, which train_lst/a.lst, line 1 names",
        "unlabelled": "train_lst/a.lst, line 1",
    }
    for name, content in lists.items():
        channels = {"train": {"a.jpg": PICTURE}, "train_lst": {"a.lst": content}}
        assert told[name] in refused(training(tmp_path / name, channels, FILES, resize="16"), tmp_path)


def test_files_need_a_size_and_a_list(tmp_path: Path) -> None:
    given = training(tmp_path, {"train": {"a.jpg": PICTURE}}, FILES)
    assert "Missing required hyperparameter: resize" in refused(given, tmp_path)
    given = training(tmp_path, {"train": {"a.jpg": PICTURE}}, FILES, resize="16")
    assert "Missing required channel: train_lst" in refused(given, tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"image_shape": "2,16,16"}, "image_shape: value 2,16,16 must be channels"),
        ({"image_shape": "3,16"}, "image_shape: value 3,16 must be"),
        ({"num_layers": "19"}, "num_layers: value 19 not in range [18, 34"),
        ({"num_layers": "20", "use_pretrained_model": "1"}, "num_layers: value 20 has no pretrained model"),
        ({"top_k": "4"}, "top_k: value 4 not in range [2, 3]"),
        ({"checkpoint_frequency": "31"}, "checkpoint_frequency: value 31 not in range [1, 30]"),
        ({"lr_scheduler_step": "20, 10"}, "lr_scheduler_step: value 20, 10 must be epochs that rise"),
        ({"resize": "8"}, "resize: value 8 is less than the sides"),
    ],
)
def test_hyperparameters_that_do_not_fit_each_other_are_refused(given: dict[str, str], told: str) -> None:
    common = {"num_classes": "3", "num_training_samples": "2", "image_shape": "3,16,16"}
    with pytest.raises(CustomerError) as error:
        base.find("image_classification").validate({**common, **given})
    assert told in str(error.value)
