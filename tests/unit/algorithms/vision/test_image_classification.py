"""Image Classification: its networks, what it learns, what it goes on from."""

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._vision import drawn
from clary.algorithms.base import Question, Source, Training
from clary.algorithms.image_classification import examples
from clary.kernel.errors import CustomerError

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
from clary.algorithms._vision import augment, images  # noqa: E402 - where torch is
from clary.algorithms._vision.resnet import Classifier  # noqa: E402

pytestmark = pytest.mark.torch
ALGORITHM = base.find("image_classification")
ROOT = Path(__file__).resolve().parents[4]


def fitted(folder: Path, *, n_images: int = 32, model: Path | None = None, **given: Any) -> Training:
    """Train on drawn shapes, below `folder`; return the training."""
    sources = {}
    for name, seed in (("train", 1), ("validation", 2)):
        path = folder / "input" / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "images.rec").write_bytes(b"".join(examples.frames(n_images, seed)))
        sources[name] = Source(name=name, path=path, content_type="application/x-recordio")
    if model is not None:
        sources["model"] = Source(name="model", path=model, content_type="application/x-sagemaker-model")
    common = base.examples("image_classification")[0].hyperparameters
    training = Training(
        params=ALGORITHM.validate({**common, **{name: str(value) for name, value in given.items()}}),
        sources=sources,
        model_dir=folder / "model",
        output_data_dir=folder / "output",
        checkpoint_dir=folder / "checkpoints",
        n_threads=1,
    )
    training.model_dir.mkdir(exist_ok=True)
    ALGORITHM.fit(training)
    return training


def accuracies(printed: str, channel: str = "Validation") -> list[float]:
    return [float(each) for each in re.findall(rf"Epoch\S* {channel}-accuracy=(\S*)", printed)]


@pytest.mark.parametrize("n_layers", [18, 34, 50, 101, 152, 200, 20, 32, 44, 56, 110])
def test_every_network_learns_a_step_and_answers(n_layers: int) -> None:
    torch.manual_seed(0)
    network = Classifier(n_layers, 3, (3, 16, 16))
    steps = torch.optim.SGD(network.parameters(), 0.01)
    seen, wanted = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    losses = []
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(network(seen), wanted)
        losses.append(float(loss.detach()))
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert losses[-1] < losses[0]
    assert network.eval()(seen[:1]).shape == (1, 3)
    names = [name for name, each in network.named_parameters() if each.ndim == 4 and "downsample" not in name]
    assert len(names) + 1 == n_layers  # convolutions, and the last layer


def test_shapes_are_learnt(tmp_path: Path, capsys: Any) -> None:
    fitted(tmp_path, n_images=150, epochs=8, learning_rate=0.05, lr_scheduler_step="6", top_k=2)
    printed = capsys.readouterr().out
    assert max(accuracies(printed)) >= 0.9
    assert "Validation-top_k_accuracy_2=" in printed


def test_the_lines_of_the_readme_open_the_model(tmp_path: Path, monkeypatch: Any) -> None:
    training = fitted(tmp_path, epochs=1, checkpoint_frequency=1)
    monkeypatch.chdir(training.model_dir)
    text = (ROOT / "src/clary/algorithms/image_classification/README.md").read_text()
    block = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[-1]
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["found"] == 3
    network = Classifier(20, 3, (3, 16, 16)).eval()
    network.load_state_dict({key: torch.from_numpy(names["weights"][key]) for key in network.state_dict()})
    picture = drawn.scene(np.random.default_rng(4), 16).pixels
    scores = network(augment.normal(augment.stacked([picture], "cpu")))
    [answer] = ALGORITHM.load(training.model_dir, {}).predict_many([Question(body=drawn.png(picture))])
    np.testing.assert_allclose(json.loads(answer.body), scores.softmax(1)[0].detach(), atol=1e-6)


def test_a_training_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path, capsys: Any) -> None:
    whole = fitted(tmp_path / "whole", epochs=3)
    fitted(tmp_path / "parts", epochs=2)
    resumed = fitted(tmp_path / "parts", epochs=3)
    assert "Resumed after epoch 2" in capsys.readouterr().out
    found, wanted = (
        np.load(
            training.model_dir
            / json.loads((training.model_dir / "image-classification.json").read_text())["weights"]
        )
        for training in (resumed, whole)
    )
    for name in wanted.files:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-5, err_msg=name)


def test_training_goes_on_from_a_model(tmp_path: Path, capsys: Any) -> None:
    first = fitted(tmp_path / "first", n_images=120, epochs=6, learning_rate=0.05)
    before = max(accuracies(capsys.readouterr().out))
    (tmp_path / "channel").mkdir()
    with tarfile.open(tmp_path / "channel/model.tar.gz", "w:gz") as archive:
        archive.add(first.model_dir, ".")
    fitted(tmp_path / "second", n_images=120, epochs=1, learning_rate=0.0001, model=tmp_path / "channel")
    assert accuracies(capsys.readouterr().out)[0] >= before - 0.1
    with pytest.raises(
        CustomerError, match=r"num_layers: value 32 is not that of the model in channel 'model', 20"
    ):
        fitted(tmp_path / "third", num_layers=32, model=tmp_path / "channel")


def test_a_channel_without_a_model_of_ours_says_so(tmp_path: Path) -> None:
    (tmp_path / "channel").mkdir()
    with tarfile.open(tmp_path / "channel/model.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("other"), io.BytesIO())
    with pytest.raises(CustomerError, match=r"there is no file image-classification\.json"):
        fitted(tmp_path, model=tmp_path / "channel")


def test_pretrained_weights_come_from_a_configured_folder(tmp_path: Path, monkeypatch: Any) -> None:
    given: dict[str, Any] = {
        "use_pretrained_model": 1,
        "num_layers": 18,
        "image_shape": "3,40,40",
        "epochs": 1,
        "learning_rate": 0,
    }
    with pytest.raises(CustomerError, match="no folder of pretrained weights is configured"):
        fitted(tmp_path, **given)
    monkeypatch.setenv("CLARY_PRETRAINED_DIR", str(tmp_path))
    with pytest.raises(CustomerError, match=r"has none of resnet-18.npz, resnet-18.pth"):
        fitted(tmp_path, **given)
    torch.manual_seed(9)
    weights = Classifier(18, 1000, (3, 224, 224)).state_dict()
    torch.save(weights, tmp_path / "resnet-18.pth")
    training = fitted(tmp_path, **given)
    found = np.load(training.model_dir / "image-classification-0001.npz")
    np.testing.assert_array_equal(found["layer1.0.conv1.weight"], weights["layer1.0.conv1.weight"])
    assert found["fc.weight"].shape == (3, 512)


def test_training_ends_early_when_nothing_improves(tmp_path: Path, capsys: Any) -> None:
    fitted(
        tmp_path,
        epochs=9,
        learning_rate=0,
        early_stopping="True",
        early_stopping_min_epochs=2,
        early_stopping_patience=1,
    )
    printed = capsys.readouterr().out
    assert len(accuracies(printed)) == 2
    assert "Early stopping after epoch 2" in printed


@pytest.mark.parametrize(
    "given",
    [
        {"optimizer": "adam", "learning_rate": 0.003, "augmentation_type": "crop"},
        {"optimizer": "rmsprop", "learning_rate": 0.001, "augmentation_type": "crop_color"},
        {"optimizer": "nag", "precision_dtype": "float16", "augmentation_type": "crop_color_transform"},
        {"resize": 20, "checkpoint_frequency": 2},
    ],
)
def test_hyperparameters_do_what_they_say(given: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    training = fitted(tmp_path, n_images=64, epochs=4, **given)
    found = accuracies(capsys.readouterr().out, "Train")
    assert found[-1] > found[0]
    saved = {path.name for path in training.model_dir.glob("*.npz")}
    assert {f"image-classification-{n:04d}.npz" for n in (2, 4) if given.get("checkpoint_frequency")} <= saved


def test_a_photograph_of_another_size_is_brought_to_the_size_of_training(tmp_path: Path) -> None:
    predictor = ALGORITHM.load(fitted(tmp_path, epochs=1).model_dir, {})
    small = drawn.scene(np.random.default_rng(4), 16).pixels
    stream = io.BytesIO()
    images.pillow().fromarray(np.kron(small, np.ones((8, 8, 1), np.uint8))).save(stream, "PNG")
    first, large, line, refused, wrong = predictor.predict_many(
        [
            Question(body=drawn.png(small), content_type="image/png"),
            Question(body=stream.getvalue(), content_type="application/x-image"),
            Question(body=drawn.png(small), content_type="image/png", accept="application/jsonlines"),
            Question(body=drawn.png(small)[:60], content_type="image/png"),
            Question(body=drawn.png(small), content_type="image/png", accept="text/csv"),
        ]
    )
    np.testing.assert_allclose(json.loads(large.body), json.loads(first.body), atol=0.05)
    assert json.loads(line.body) == {"prediction": json.loads(first.body)}
    assert line.body.endswith(b"}\n")
    assert (refused.status, wrong.status) == (400, 406)


def test_colours_come_back_from_hues() -> None:
    pictures = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    still = augment._to_rgb(*augment._to_hsl(pictures))
    np.testing.assert_allclose(still, pictures, atol=1e-5)


@pytest.mark.parametrize("kind", ["crop", "crop_color", "crop_color_transform"])
def test_a_changed_picture_is_still_one(kind: str) -> None:
    pictures = torch.rand(8, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    found = augment.changed(pictures, kind, np.random.default_rng(0))
    assert found.shape == pictures.shape
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert not torch.equal(found, pictures)
