"""Algorithms of images on two hosts, against one with all data."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._vision import drawn
from clary.algorithms.base import Question, Source, Training
from clary.algorithms.image_classification import examples
from clary.kernel.errors import CustomerError
from clary.testing import several_hosts
from clary.testing.several_hosts import HOSTS, together
from clary.toolkit import recordio
from clary.toolkit.hyperparameters import Params
from clary.toolkit.image_records import ImageRecord, wrap

pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
from clary.algorithms.object_detection import fit

pytestmark = pytest.mark.torch
SIDE = 64


def training(
    folder: Path, host: str, hosts: tuple[str, ...], frames: tuple[bytes, ...], **given: str
) -> Training:
    sources = {}
    for name, content in (("train", frames), ("validation", examples.frames(30, 2))):
        path = folder / host / name
        path.mkdir(parents=True)
        (path / "images.rec").write_bytes(b"".join(content))
        sources[name] = Source(name=name, path=path, content_type="application/x-recordio")
    algorithm = base.find("image_classification")
    common = {
        **base.examples(algorithm.name)[0].hyperparameters,
        "epochs": "8",
        "learning_rate": "0.05",
        "lr_scheduler_step": "6",
    }
    model_dir = folder / host / "model"
    model_dir.mkdir()
    return Training(
        params=algorithm.validate({**common, **given}),
        sources=sources,
        model_dir=model_dir,
        output_data_dir=folder / host / "output",
        hosts=hosts,
        host=host,
        name=f"{folder.name}-images",
        n_threads=1,
    )


def accuracy(model_dir: Path) -> float:
    """Return how often new shapes are told apart."""
    scenes = [drawn.scene(np.random.default_rng(seed), examples.SIDE, share=(0.6, 0.9)) for seed in range(60)]
    questions = [Question(body=drawn.png(scene.pixels)) for scene in scenes]
    answers = base.find("image_classification").load(model_dir, {}).predict_many(questions)
    right = [
        int(np.argmax(json.loads(answer.body))) == scene.boxes[0][0]
        for answer, scene in zip(answers, scenes, strict=True)
    ]
    return float(np.mean(right))


@pytest.mark.parametrize("kv_store", ["dist_sync", "dist_async"])
def test_two_hosts_on_shards_learn_what_one_learns_on_all(kv_store: str, tmp_path: Path) -> None:
    frames = examples.frames(160, 1)
    alone = training(tmp_path / "one", "algo-1", ("algo-1",), frames)
    pair = [
        training(tmp_path / "two", host, HOSTS, part, kv_store=kv_store, mini_batch_size="4")
        for host, part in zip(HOSTS, (frames[:90], frames[90:]), strict=True)
    ]
    fit = base.find("image_classification").fit
    assert together([partial(fit, alone)]) == [None]
    assert together([partial(fit, each) for each in pair]) == [None, None]
    assert not list(pair[1].model_dir.iterdir())
    one, two = accuracy(alone.model_dir), accuracy(pair[0].model_dir)
    assert min(one, two) >= 0.8
    assert abs(one - two) <= 0.15


def test_a_host_that_cannot_read_its_data_ends_all(tmp_path: Path) -> None:
    pair = [
        training(tmp_path, host, HOSTS, part)
        for host, part in zip(HOSTS, (examples.frames(8, 1), (b"none",)), strict=True)
    ]
    for error in together([partial(base.find("image_classification").fit, each) for each in pair]):
        assert isinstance(error, CustomerError)
        assert "images.rec" in str(error)


def detecting(
    folder: Path, host: str, hosts: tuple[str, ...], frames: tuple[bytes, ...], **given: str
) -> Training:
    """Return a training of Object Detection on images smaller than the service takes, so that it is quick."""
    sources = {}
    for name, content in (("train", frames), ("validation", discs(24, 2))):
        path = folder / host / name
        path.mkdir(parents=True)
        (path / "images.rec").write_bytes(b"".join(content))
        sources[name] = Source(name=name, path=path, content_type="application/x-recordio")
    algorithm = base.find("object_detection")
    common = {
        **base.examples(algorithm.name)[0].hyperparameters,
        "num_classes": "1",
        "optimizer": "adam",
        "learning_rate": "0.001",
        "lr_scheduler_step": "6",
        "epochs": "8",
    }
    params = algorithm.validate({**common, **given})
    (folder / host / "model").mkdir()
    return Training(
        params=Params({**params.values_by_name, "image_shape": SIDE}),
        sources=sources,
        model_dir=folder / host / "model",
        output_data_dir=folder / host / "output",
        hosts=hosts,
        host=host,
        name=f"{folder.name}-boxes",
        n_threads=1,
    )


def discs(n_images: int, seed: int) -> tuple[bytes, ...]:
    """Return frames of images of a disc each, labelled as `im2rec --pack-label` does."""
    found = []
    for number, each in enumerate(scenes(n_images, seed)):
        labels = (2.0, 5.0, *(edge / SIDE if place else 0.0 for place, edge in enumerate(each.boxes[0])))
        found.append(recordio.wrap(wrap(ImageRecord(labels, drawn.png(each.pixels), number))))
    return tuple(found)


def scenes(n_images: int, seed: int) -> list[drawn.Scene]:
    draw = np.random.default_rng(seed)
    return [drawn.scene(draw, SIDE, kinds=1, share=(0.4, 0.7)) for _ in range(n_images)]


def precision(model_dir: Path) -> float:
    """Return the mean average precision on new discs."""
    new = scenes(40, 3)
    questions = [Question(body=drawn.png(each.pixels)) for each in new]
    answers = base.find("object_detection").load(model_dir, {}).predict_many(questions)
    found = [json.loads(each.body)["prediction"] for each in answers]
    there = [[[kind, *(edge / SIDE for edge in box), 0] for kind, *box in each.boxes] for each in new]
    return fit.mean_average_precision(found, there, 0.5)


@pytest.mark.timeout(900)
def test_two_hosts_find_objects_together_as_one_does_on_all(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(several_hosts, "PATIENCE_S", 400.0)  # 12 million numbers are exchanged each step
    frames = discs(96, 1)
    alone = detecting(tmp_path / "one", "algo-1", ("algo-1",), frames, mini_batch_size="8")
    pair = [
        detecting(tmp_path / "two", host, HOSTS, part, mini_batch_size="4")
        for host, part in zip(HOSTS, (frames[:54], frames[54:]), strict=True)
    ]
    learn = base.find("object_detection").fit
    assert together([partial(learn, alone)]) == [None]
    assert together([partial(learn, each) for each in pair]) == [None, None]
    assert not list(pair[1].model_dir.iterdir())
    one, two = precision(alone.model_dir), precision(pair[0].model_dir)
    assert min(one, two) >= 0.7
    assert abs(one - two) <= 0.15
