"""Algorithms of images on two hosts, against one with all data."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._vision import drawn
from clary.algorithms.base import Question, Source, Training
from clary.algorithms.image_classification import examples
from clary.kernel.errors import CustomerError
from clary.testing.several_hosts import HOSTS, together
from clary.toolkit.hyperparameters import Params

pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
pytestmark = pytest.mark.torch


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


def test_two_hosts_find_objects_together(tmp_path: Path) -> None:
    algorithm = base.find("object_detection")
    example = base.examples(algorithm.name)[0]
    params = algorithm.validate({**example.hyperparameters, "mini_batch_size": "1"})
    pair = []
    for host, frame in zip(HOSTS, example.channels["train"], strict=True):
        sources = {}
        for name, content in (("train", frame), ("validation", example.channels["validation"][0])):
            path = tmp_path / host / name
            path.mkdir(parents=True)
            (path / "images.rec").write_bytes(content)
            sources[name] = Source(name=name, path=path, content_type=example.content_type)
        (tmp_path / host / "model").mkdir()
        pair.append(
            Training(
                params=Params(
                    {**params.values_by_name, "image_shape": 64}
                ),  # less than the service takes: quicker
                sources=sources,
                model_dir=tmp_path / host / "model",
                output_data_dir=tmp_path,
                hosts=HOSTS,
                host=host,
                name=f"{tmp_path.name}-boxes",
                n_threads=1,
            )
        )
    assert together([partial(algorithm.fit, each) for each in pair]) == [None, None]
    assert (pair[0].model_dir / "object-detection.npz").is_file()
    assert not list(pair[1].model_dir.iterdir())
