"""Linear Learner's half of a GPU, on torch's processor and on tensors that only claim to be elsewhere."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from clary.algorithms import _gpu, base
from clary.algorithms._gpu_rows import sparse_rows
from clary.algorithms._hosts import Hosts
from clary.algorithms.base import Source, Training
from clary.algorithms.linear_learner import _checkpoint, _grid
from clary.algorithms.linear_learner import _device as module
from clary.algorithms.linear_learner._device import DeviceLoss, DeviceModels
from clary.algorithms.linear_learner._hyperparameters import CLASSES, LOSSES
from clary.algorithms.linear_learner._losses import Loss
from clary.testing.several_hosts import HOSTS, together
from clary.toolkit.formats import recordio_protobuf
from clary.toolkit.formats.base import Table
from clary.toolkit.hyperparameters import Params

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")

pytestmark = pytest.mark.torch

LINEAR = base.find("linear_learner")
N_ROWS, N_COLUMNS = 420, 12
ALL = [(kind, loss) for kind, losses in LOSSES.items() for loss in losses]
draw = np.random.default_rng(6)
DENSE = draw.normal(2, 3, (N_ROWS, N_COLUMNS)).astype(np.float32)
THIN = sparse.random(N_ROWS, 500, 0.01, "csr", np.float32, random_state=2)
FULL = sparse.random(N_ROWS, N_COLUMNS, 0.5, "csr", np.float32, random_state=3)


def gpu(device: str = "cpu") -> _gpu.Gpu:
    return _gpu.Gpu(torch, torch.device(device))


def params(kind: str, loss: str = "auto", **more: Any) -> Params:
    classes = {"num_classes": "3"} if kind == CLASSES else {}
    given = {"predictor_type": kind, "loss": loss, "mini_batch_size": "60", "epochs": "4", **classes, **more}
    return LINEAR.validate({name: str(value) for name, value in given.items()})


def labels(rows: Any, kind: str) -> Any:
    found = np.asarray(rows @ np.random.default_rng(1).normal(size=rows.shape[1]))
    found = (found - found.mean()) / found.std()
    edges = {"binary_classifier": [0.3], CLASSES: [-0.5, 0.5]}.get(kind)
    return (found if edges is None else np.digitize(found, edges)).astype(np.float32)


def job(folder: Path, rows: Any, given: Params, **more: Any) -> Training:
    content = recordio_protobuf.write(rows, labels(rows, given.text("predictor_type")))
    for name in ("train", "validation"):
        (folder / name).mkdir(parents=True)
        (folder / name / "part").write_bytes(content)
    return Training(
        params=given,
        sources={name: Source(name=name, path=folder / name) for name in ("train", "validation")},
        model_dir=folder / "model",
        output_data_dir=folder / "output",
        n_threads=1,
        **more,
    )


def weights(done: Training) -> Any:
    with np.load(done.model_dir / "model_algo-1") as found:
        return np.column_stack((found["weight"], found["bias"]))


def on(place: _gpu.Gpu | None, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_gpu, "find", lambda: place)
        run()


@pytest.mark.parametrize(("kind", "loss"), ALL)
def test_losses_and_what_torch_derives_are_those_written_by_hand(kind: str, loss: str) -> None:
    ours = Loss(params(kind, loss, quantile=0.3, loss_insensitivity=0.25, huber_delta=0.75))
    theirs = DeviceLoss(torch, ours)
    shape = (50, 4, 3) if kind == CLASSES else (50, 4)
    truth = draw.integers(0, 3 if kind == CLASSES else 2, 50).astype(np.float32)
    scores = np.round(draw.normal(0, 4, shape), 1).astype(np.float32)
    scores[:8] = scores[:8].round() + truth[:8].reshape(
        -1, *[1] * (len(shape) - 1)
    )  # also where a loss bends
    found = theirs.value(torch.tensor(scores), torch.tensor(truth))
    np.testing.assert_allclose(found, ours.value(scores, truth), rtol=2e-6, atol=2e-6)
    slope = theirs.slope(torch.tensor(scores), torch.tensor(truth))
    np.testing.assert_allclose(slope, ours.slope(scores.copy(), truth), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("rows", [THIN, FULL, sparse.csr_matrix((5, 7), dtype=np.float32)])
def test_sparse_rows_are_multiplied_as_their_matrix(rows: Any) -> None:
    there = sparse_rows(gpu(), rows)
    for each, matrix in ((there, rows), (there.T, rows.T), (there.T.T, rows)):
        dense = draw.normal(size=(matrix.shape[1], 5)).astype(np.float32)
        np.testing.assert_allclose(each @ torch.tensor(dense), matrix @ dense, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("rows", [DENSE, THIN, FULL], ids=["dense", "thin", "full"])
@pytest.mark.parametrize("kind", LOSSES)
def test_a_model_has_the_processors_weights(
    kind: str, rows: Any, optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    balance = {"positive_example_weight_mult": "auto", "balance_multiclass_weights": "true"}
    given = params(kind, optimizer=optimizer, num_models=6, wd=1e-3, l1=1e-3, **balance)
    here, there = job(tmp_path / "1", rows, given), job(tmp_path / "2", rows, given)
    on(None, partial(LINEAR.fit, here), monkeypatch)
    on(gpu(), partial(LINEAR.fit, there), monkeypatch)
    np.testing.assert_allclose(weights(there), weights(here), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("rows", [DENSE, THIN], ids=["dense", "thin"])
def test_rows_that_neither_memory_nor_the_device_keeps_travel_in_their_turn(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = params("regressor", num_models=4)
    kept, whole, blocks = (job(tmp_path / name, rows, given) for name in ("1", "2", "3"))
    on(gpu(), partial(LINEAR.fit, kept), monkeypatch)
    monkeypatch.setattr(_gpu.Gpu, "room", lambda self: 0)
    monkeypatch.setattr(module, "BLOCK_CELLS", 1000)
    on(gpu(), partial(LINEAR.fit, whole), monkeypatch)
    np.testing.assert_allclose(weights(whole), weights(kept), rtol=1e-5, atol=1e-6)
    monkeypatch.setattr("clary.algorithms._feed.Feed.is_kept", False)
    on(gpu(), partial(LINEAR.fit, blocks), monkeypatch)
    np.testing.assert_allclose(weights(blocks), weights(kept), rtol=1e-5, atol=1e-6)


class KilledError(Exception):
    """Stands for SIGKILL."""


@pytest.mark.parametrize("begins", [True, False], ids=["there-first", "here-first"])
def test_a_training_goes_on_from_a_checkpoint_of_the_other(
    begins: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = params("binary_classifier", num_models=3, epochs=6)
    (tmp_path / "state").mkdir()
    whole = job(tmp_path / "whole", DENSE, given)
    cut = dataclasses.replace(job(tmp_path / "cut", DENSE, given), checkpoint_dir=tmp_path / "state")
    places = (gpu(), None) if begins else (None, gpu())
    save = _checkpoint.save

    def saved(folder: Any, standing: Any, models: Any) -> None:
        save(folder, standing, models)
        if standing.epoch == 3:
            raise KilledError

    on(None, partial(LINEAR.fit, whole), monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(_checkpoint, "save", saved)
        with pytest.raises(KilledError):
            on(places[0], partial(LINEAR.fit, cut), monkeypatch)
    on(places[1], partial(LINEAR.fit, cut), monkeypatch)
    assert "Resuming from epoch 3" in capsys.readouterr().out
    np.testing.assert_allclose(weights(cut), weights(whole), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("rows", [DENSE, THIN], ids=["dense", "thin"])
def test_two_hosts_on_devices_learn_what_two_without_learn(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, found = params(CLASSES, num_models=3), []
    for name, place in (("here", None), ("there", gpu())):
        parts = zip(HOSTS, (rows[:150], rows[150:]), strict=True)
        pair = [
            job(tmp_path / name / host, part, given, hosts=HOSTS, host=host, name=f"{tmp_path.name}-{name}")
            for host, part in parts
        ]
        raised: list[Any] = []
        on(place, lambda: raised.extend(together([partial(LINEAR.fit, each) for each in pair])), monkeypatch)  # noqa: B023
        assert raised == [None, None]
        found.append(weights(pair[0]))
    np.testing.assert_allclose(found[1], found[0], rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("kind", "loss"), ALL)
@pytest.mark.parametrize("rows", [DENSE, THIN], ids=["dense", "thin"])
def test_a_step_and_losses_stay_on_one_device(kind: str, loss: str, rows: Any, nowhere: _gpu.Gpu) -> None:
    mixed = pytest.raises(RuntimeError, match="at least two devices")
    balance = {"positive_example_weight_mult": "balanced", "balance_multiclass_weights": "true"}
    given = params(kind, loss, feature_dim=rows.shape[1], num_models=2, **balance)
    table = Table(rows, labels(rows, kind))
    models = DeviceModels(nowhere, given, _grid.grid(given), Loss(given), np.array([200, 120, 100]))
    assert models.step(table, Hosts(0, (), 1), 0.5)
    models.remember()
    [(_, scores)] = models._scored(rows)
    assert scores.shape == (N_ROWS, 2, 3) if kind == CLASSES else (N_ROWS, 2)
    value = models._loss.value(scores, models._batch(table, is_alone=False).labels)
    assert value.device == models._present()[0].device == torch.device("meta")
    models._bias.weights = torch.zeros(models._bias.weights.shape)
    with mixed:
        models.step(table, Hosts(0, (), 1), 0.5)
