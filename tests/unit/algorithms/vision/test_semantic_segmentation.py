"""Semantic Segmentation: its heads, what it learns, its answers."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._vision import drawn
from clary.algorithms.base import Question, Source, Training
from clary.algorithms.semantic_segmentation import examples
from clary.kernel.errors import CustomerError
from clary.testing.algorithm_suite import train
from clary.toolkit.formats import recordio_protobuf

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
from clary.algorithms._vision.masks import Segmenter  # noqa: E402 - where torch is
from clary.algorithms.semantic_segmentation.fit import drawn_part, rate_at  # noqa: E402

pytestmark = pytest.mark.torch
ALGORITHM = base.find("semantic_segmentation")


@pytest.mark.parametrize(
    ("algorithm", "backbone"),
    [("fcn", "resnet-50"), ("psp", "resnet-50"), ("deeplab", "resnet-50"), ("fcn", "resnet-101")],
)
def test_every_head_learns_a_step_and_answers(algorithm: str, backbone: str) -> None:
    torch.manual_seed(0)
    network = Segmenter(algorithm, backbone, 3)
    steps = torch.optim.SGD(network.parameters(), 0.01)
    seen, wanted = torch.randn(2, 3, 32, 32), torch.randint(0, 3, (2, 32, 32))
    losses = []
    for _ in range(3):
        loss = sum(torch.nn.functional.cross_entropy(each, wanted) for each in network.both(seen))
        losses.append(float(loss.detach()))
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert losses[-1] < losses[0]
    assert network.eval()(seen[:1]).shape == (1, 3, 32, 32)


def test_an_answer_is_a_mask_or_the_likelihoods_behind_it(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    model_dir = train(ALGORITHM, base.examples("semantic_segmentation")[0], tmp_path)
    picture = np.full((20, 30, 3), 90, np.uint8)
    mask, likely, refused = ALGORITHM.load(model_dir, {}).predict_many(
        [
            Question(body=drawn.png(picture), content_type="image/jpeg"),
            Question(
                body=drawn.png(picture), content_type="image/jpeg", accept="application/x-recordio-protobuf"
            ),
            Question(body=drawn.png(picture), content_type="image/jpeg", accept="application/json"),
        ]
    )
    assert (mask.content_type, refused.status) == ("image/png", 406)
    [record] = recordio_protobuf.decode_records(likely.body)
    shape = record.features["shape"].values.tolist()
    values = record.features["target"].values.reshape(shape)
    assert shape == [1, 2, 20, 30]
    np.testing.assert_allclose(values.sum(1), 1, atol=1e-5)
    opened = pil.open(io.BytesIO(mask.body))
    assert opened.mode == "P"
    np.testing.assert_array_equal(np.array(opened), values[0].argmax(0))


def test_training_goes_on_from_a_model_of_the_same_network_alone(tmp_path: Path) -> None:
    example = base.examples("semantic_segmentation")[0]
    model_dir = train(ALGORITHM, example, tmp_path)
    source = Source(name="model", path=model_dir, content_type="application/x-sagemaker-model")
    channel = tmp_path / "input/train/part"
    sources = {
        **{
            name: Source(name=name, path=channel, content_type="application/x-recordio")
            for name in ("train", "validation")
        },
        "model": source,
    }
    folder = tmp_path / "second"
    folder.mkdir()

    def fit(**given: str) -> None:
        params = ALGORITHM.validate({**example.hyperparameters, **given})
        ALGORITHM.fit(
            Training(params=params, sources=sources, model_dir=folder, output_data_dir=folder, n_threads=1)
        )

    fit(learning_rate="1e-30")
    assert json.loads((folder / "semantic-segmentation.json").read_text())["num_classes"] == 2
    first, second = (np.load(each / "semantic-segmentation.npz") for each in (model_dir, folder))
    np.testing.assert_array_equal(first["head.0.weight"], second["head.0.weight"])
    with pytest.raises(
        CustomerError, match="algorithm: value psp is not that of the model in channel 'model', fcn"
    ):
        fit(algorithm="psp")


def fitted(folder: Path, **given: str) -> Training:
    """Train on drawn discs, with checkpoints, below `folder`; return the training."""
    example = base.examples("semantic_segmentation")[0]
    sources = {}
    for name, frames in example.channels.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "part").write_bytes(b"".join(frames))
        sources[name] = Source(name=name, path=folder / name, content_type=example.content_type)
    training = Training(
        params=ALGORITHM.validate({**example.hyperparameters, **given}),
        sources=sources,
        model_dir=folder / "model",
        output_data_dir=folder / "output",
        checkpoint_dir=folder / "checkpoints",
        n_threads=1,
    )
    training.model_dir.mkdir(exist_ok=True)
    ALGORITHM.fit(training)
    return training


def test_a_training_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path, capsys: Any) -> None:
    steps = {"lr_scheduler": "step", "lr_scheduler_step": "1"}  # poly's rates depend on the epochs in all
    whole = fitted(tmp_path / "whole", epochs="2", **steps)
    fitted(tmp_path / "parts", epochs="1", **steps)
    resumed = fitted(tmp_path / "parts", epochs="2", **steps)
    printed = capsys.readouterr().out
    assert "Resumed after epoch 1" in printed
    losses = [line.rpartition(" ")[2] for line in printed.splitlines() if "Epoch: 1, train loss" in line]
    assert losses == losses[:1] * 2
    found, wanted = (np.load(each.model_dir / "semantic-segmentation.npz") for each in (resumed, whole))
    assert set(found.files) == set(wanted.files)
    for name in wanted.files:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-5, err_msg=name)


def test_a_checkpoint_of_other_hyperparameters_is_refused(tmp_path: Path) -> None:
    fitted(tmp_path)
    with pytest.raises(CustomerError, match='hyperparameter algorithm is "psp", and "fcn" in the training'):
        fitted(tmp_path, algorithm="psp")
    with pytest.raises(CustomerError, match=r"hyperparameter lr_scheduler_step is \[4\], and not given in"):
        fitted(tmp_path, lr_scheduler_step="4")


def test_pretrained_weights_are_the_default_and_need_a_folder(tmp_path: Path) -> None:
    example = base.examples("semantic_segmentation")[0]
    given = {name: value for name, value in example.hyperparameters.items() if name != "use_pretrained_model"}
    sources = {
        "train": Source(name="train", path=tmp_path),
        "validation": Source(name="validation", path=tmp_path),
    }
    training = Training(
        params=ALGORITHM.validate(given), sources=sources, model_dir=tmp_path, output_data_dir=tmp_path
    )
    with pytest.raises(CustomerError, match="needs the weights of resnet-50, and no folder"):
        ALGORITHM.fit(training)


def test_parts_are_taken_at_any_size_and_what_lies_beyond_is_passed_over() -> None:
    scene = drawn.scene(np.random.default_rng(3), 40)
    pixels = np.dstack((scene.pixels, scene.mask))
    draw = np.random.default_rng(0)
    parts = [drawn_part(pixels, 32, 48, draw) for _ in range(20)]
    assert {part.shape for part in parts} == {(48, 48, 4)}
    assert any((part[..., 3] == 255).any() for part in parts)
    assert any((part[..., 3] == scene.mask.max()).any() for part in parts)


def test_the_learning_rate_falls_as_was_asked() -> None:
    def rates(**given: str) -> list[float]:
        params = ALGORITHM.validate(
            {"num_classes": "2", "num_training_samples": "1", "learning_rate": "1", **given}
        )
        return [rate_at(params, epoch, epoch / 4) for epoch in range(4)]

    assert rates() == pytest.approx([1, 0.75**0.9, 0.5**0.9, 0.25**0.9])
    assert rates(lr_scheduler="cosine")[2] == pytest.approx(0.5)
    assert rates(lr_scheduler="step", lr_scheduler_step="1, 3") == pytest.approx([1, 0.1, 0.1, 0.01])


def test_examples_are_discs_and_ground() -> None:
    assert len(examples.turns(2, 0)) == 2
