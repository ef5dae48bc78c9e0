"""Object Detection: its networks, what boxes learn, what it goes on from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._vision import drawn
from clary.algorithms._vision.overlap import iou
from clary.algorithms.base import Question, Source, Training
from clary.algorithms.object_detection import examples
from clary.kernel.errors import CustomerError
from clary.testing.algorithm_suite import train
from clary.toolkit.hyperparameters import Params

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
from clary.algorithms.object_detection import fit  # noqa: E402 - where torch is
from clary.algorithms.object_detection._network import (  # noqa: E402
    Detector,
    corners,
    decoded,
    encoded,
    overlaps,
)

pytestmark = pytest.mark.torch
ALGORITHM = base.find("object_detection")
SIDE = 96


def training(folder: Path, n_images: int = 4, **given: str) -> Training:
    """Return a training on images smaller than the service takes, so that it is quick."""
    sources = {}
    for name, seed in (("train", 1), ("validation", 2)):
        path = folder / "input" / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "a.rec").write_bytes(b"".join(examples.frames(n_images, seed, SIDE)))
        sources[name] = Source(name=name, path=path, content_type="application/x-recordio")
    common = base.examples("object_detection")[0].hyperparameters
    params = ALGORITHM.validate({**common, **given})
    (folder / "model").mkdir(exist_ok=True)
    return Training(
        params=Params({**params.values_by_name, "image_shape": SIDE}),
        sources=sources,
        model_dir=folder / "model",
        output_data_dir=folder / "output",
        checkpoint_dir=folder / "checkpoints",
        n_threads=1,
    )


@pytest.mark.parametrize("base_network", ["vgg-16", "resnet-50"])
def test_every_base_learns_a_step_and_answers(base_network: str) -> None:
    torch.manual_seed(0)
    network = Detector(base_network, 3, SIDE)
    steps = torch.optim.SGD(network.parameters(), 0.0001)
    seen = torch.randn(2, 3, SIDE, SIDE)
    there = [np.array([[1, 0.2, 0.2, 0.6, 0.7, 0]], np.float32), np.zeros((0, 6), np.float32)]
    found = []
    for _ in range(3):
        scores, offsets = network(seen)
        crossed, moved = fit.losses(network.boxes, scores, offsets, there)
        loss = crossed + moved
        found.append(float(loss.detach()))
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert found[-1] < found[0]
    scores, offsets = network.eval()(seen[:1])
    assert scores.shape == (1, len(network.boxes), 4)
    assert offsets.shape == (1, len(network.boxes), 4)


def test_with_300_pixels_there_are_boxes_around_38_by_38_places_and_fewer() -> None:
    network = Detector("resnet-50", 1, 300)
    assert len(network.boxes) == 38**2 * 4 + 19**2 * 6 + 10**2 * 6 + 5**2 * 6 + 3**2 * 4 + 2**2 * 4


def test_offsets_lead_back_to_their_boxes() -> None:
    around = torch.tensor([[0.5, 0.5, 0.2, 0.4], [0.3, 0.3, 0.1, 0.1]])
    boxes = torch.tensor([[0.1, 0.2, 0.4, 0.9], [0.25, 0.2, 0.5, 0.4]])
    np.testing.assert_allclose(decoded(encoded(boxes, around), around), boxes, atol=1e-6)
    np.testing.assert_allclose(
        overlaps(boxes, corners(around)), iou(boxes.numpy(), corners(around).numpy()), atol=1e-6
    )


def test_every_object_has_a_box_and_the_boxes_that_fit_it() -> None:
    around = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.22, 0.22], [0.1, 0.1, 0.1, 0.1]])
    there = torch.tensor([[2, 0.4, 0.4, 0.6, 0.6, 0], [0, 0.9, 0.9, 1.0, 1.0, 0]])
    kinds, _ = fit.matched(around, there)
    assert kinds.tolist()[1] == 3
    assert sorted(kinds.tolist()).count(1) == 1  # the far object has the box that is least far


def test_of_overlapping_boxes_of_a_class_the_likeliest_stays() -> None:
    boxes = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 0, 1, 0.95], [0, 0, 0.2, 0.2]])
    found = fit._apart(torch.tensor([0.5, 0.9, 0.3, 0.005]), torch.tensor([1, 1, 0, 1]), boxes, 0.45)
    assert [(kind, round(score, 2)) for kind, score, *_ in found] == [(1, 0.9), (0, 0.3)]


def test_changed_pictures_show_their_objects_where_their_boxes_are() -> None:
    draw = np.random.default_rng(0)
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[15:30, 40:60] = 255
    there = np.array([[1, 0.5, 0.25, 0.75, 0.5, 0]], np.float32)
    for _ in range(30):
        found, shown = fit.changed(pixels, there, 64, draw)
        assert found.shape == (64, 64, 3)
        rows, columns = np.nonzero(found[..., 0] > 200)
        seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 64
        np.testing.assert_allclose(shown[0, 1:5], seen, atol=0.05)


def test_mean_average_precision_is_over_the_classes_that_are_there() -> None:
    there = [[[0, 0.1, 0.1, 0.5, 0.5, 0], [2, 0.6, 0.6, 0.9, 0.9, 0]]]
    said = [[[0, 0.9, 0.1, 0.1, 0.5, 0.5], [1, 0.8, 0.6, 0.6, 0.9, 0.9]]]
    assert fit.mean_average_precision(said, there, 0.5) == 0.5
    assert fit.mean_average_precision([[]], [[]], 0.5) == 0


def test_layers_that_a_pattern_names_stay_as_they_are(tmp_path: Path) -> None:
    given = training(tmp_path, freeze_layer_pattern="^(conv0|bn0|stage1_)")
    network = fit.begun(given, tmp_path)
    frozen = {name.split(".")[0] for name, each in network.base.named_parameters() if not each.requires_grad}
    assert frozen == {"conv1", "bn1", "layer1"}
    assert fit.known_as("features.28.bias") == "conv5_3_bias"


def test_a_model_answers_boxes_and_training_goes_on_from_it(tmp_path: Path) -> None:
    example = base.examples("object_detection")[0]
    model_dir = train(ALGORITHM, example, tmp_path / "first")
    body = drawn.png(drawn.scene(np.random.default_rng(4), 60).pixels)
    plain, line, marked = ALGORITHM.load(model_dir, {}).predict_many(
        [
            Question(body=body, accept=accept)
            for accept in ("", "application/jsonlines", "application/json;annotation=1")
        ]
    )
    found = json.loads(plain.body)["prediction"]
    assert {len(each) for each in found} <= {6}
    assert all(min(each[1:]) >= 0 and max(each[1:]) <= 1 for each in found)
    assert json.loads(line.body) == json.loads(plain.body)
    notes = json.loads(marked.body)
    assert marked.content_type == "application/json"
    assert notes["image_size"] == [{"width": 60, "height": 60, "depth": 3}]
    assert [each["score"] for each in notes["annotations"]] == [each[1] for each in found]
    assert all(0 <= each["left"] <= each["left"] + each["width"] <= 60 for each in notes["annotations"])
    again = training(tmp_path / "second", learning_rate="0.000001")
    sources: dict[str, Any] = {**again.sources, "model": Source(name="model", path=model_dir)}
    ALGORITHM.fit(Training(**{**vars(again), "sources": sources}))
    before, after = (np.load(each / "object-detection.npz") for each in (model_dir, again.model_dir))
    np.testing.assert_allclose(after["base.conv1.weight"], before["base.conv1.weight"], atol=1e-3)
    other = training(tmp_path / "third", num_classes="5")
    with pytest.raises(
        CustomerError, match="num_classes: value 5 is not that of the model in channel 'model', 3"
    ):
        ALGORITHM.fit(Training(**{**vars(other), "sources": sources}))


def test_a_training_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path, capsys: Any) -> None:
    whole, first, rest = (
        training(tmp_path / folder, epochs=epochs, optimizer="adam")
        for folder, epochs in (("whole", "2"), ("parts", "1"), ("parts", "2"))
    )
    for each in (whole, first, rest):
        ALGORITHM.fit(each)
    printed = capsys.readouterr().out
    assert "Resumed after epoch 1" in printed
    assert printed.count("epoch=1, validation mAP") == 2
    found, wanted = (np.load(each.model_dir / "object-detection.npz") for each in (rest, whole))
    assert set(found.files) == set(wanted.files)
    for name in wanted.files:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-5, err_msg=name)


def test_a_checkpoint_of_other_hyperparameters_is_refused(tmp_path: Path) -> None:
    ALGORITHM.fit(training(tmp_path))
    with pytest.raises(CustomerError, match="hyperparameter num_classes is 4, and 3 in the training that"):
        ALGORITHM.fit(training(tmp_path, num_classes="4"))
    with pytest.raises(CustomerError, match='hyperparameter optimizer is "adam", and "sgd" in the training'):
        ALGORITHM.fit(training(tmp_path, optimizer="adam"))


def test_pretrained_weights_are_the_default_and_need_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CustomerError, match="needs the weights of resnet-50, and no folder"):
        ALGORITHM.fit(training(tmp_path, use_pretrained_model="1"))
