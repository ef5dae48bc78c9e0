"""Factorization Machines' half of a GPU, on torch's processor and on tensors that have no numbers."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from clary.algorithms import _gpu, base
from clary.algorithms._gpu_rows import sparse_rows
from clary.algorithms.base import Source, Training
from clary.algorithms.factorization_machines import _device as module
from clary.algorithms.factorization_machines._device import DeviceMachine, DeviceSums
from clary.algorithms.factorization_machines._sums import Sums
from clary.testing.several_hosts import HOSTS, together
from clary.toolkit.formats import recordio_protobuf
from clary.toolkit.hyperparameters import Params

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")

pytestmark = pytest.mark.torch

FACTORS = base.find("factorization_machines")
KINDS = ("regressor", "binary_classifier")
N_ROWS = 500
draw = np.random.default_rng(8)
DENSE = sparse.csr_matrix(draw.normal(size=(N_ROWS, 9)) * (draw.random((N_ROWS, 9)) < 0.8), dtype=np.float32)
THIN = sparse.random(N_ROWS, 300, 0.02, "csr", np.float32, random_state=2)
ROWS = pytest.mark.parametrize("rows", [DENSE, THIN], ids=["dense", "thin"])


def gpu() -> _gpu.Gpu:
    return _gpu.Gpu(torch, torch.device("cpu"))


def params(kind: str, rows: Any, **more: Any) -> Params:
    given = {
        "feature_dim": rows.shape[1],
        "num_factors": 4,
        "predictor_type": kind,
        "mini_batch_size": 40,
        "epochs": 5,
        "linear_lr": 0.02,
        "factors_lr": 0.02,
        "factors_init_sigma": 0.1,
        **more,
    }
    return FACTORS.validate({name: str(value) for name, value in given.items()})


def job(folder: Path, rows: Any, given: Params, **more: Any) -> Training:
    labels = np.asarray(rows @ np.random.default_rng(1).normal(size=rows.shape[1]))
    labels = labels > 0 if given.text("predictor_type") == "binary_classifier" else labels
    (folder / "train").mkdir(parents=True)
    (folder / "train/part").write_bytes(recordio_protobuf.write(rows, labels.astype(np.float32)))
    return Training(
        params=given,
        sources={"train": Source(name="train", path=folder / "train", distribution="ShardedByS3Key")},
        model_dir=folder / "model",
        output_data_dir=folder / "output",
        n_threads=1,
        **more,
    )


def weights(done: Training) -> Any:
    with np.load(done.model_dir / "model_algo-1") as found:
        return np.concatenate((found["linear"], found["factors"].ravel(), found["bias"].ravel()))


def on(place: _gpu.Gpu | None, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_gpu, "find", lambda: place)
        run()


def logged(text: str) -> list[str]:
    return [line.partition("train ")[2] for line in text.splitlines() if "quality_metric" in line]


@pytest.mark.parametrize("more", [{}, {"clip_gradient": 0.05, "rescale_grad": 0.1, "eps": 0.01}])
@ROWS
@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_has_the_processors_weights(
    kind: str, rows: Any, more: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    given = params(kind, rows, **more)
    here, there = job(tmp_path / "1", rows, given), job(tmp_path / "2", rows, given)
    on(None, partial(FACTORS.fit, here), monkeypatch)
    wanted = [float(line.partition("=")[2]) for line in logged(capsys.readouterr().out)]
    on(gpu(), partial(FACTORS.fit, there), monkeypatch)
    found = [float(line.partition("=")[2]) for line in logged(capsys.readouterr().out)]
    np.testing.assert_allclose(weights(there), weights(here), rtol=1e-3, atol=2e-5)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    assert len(found) > 5


@ROWS
def test_tables_that_do_not_stay_travel_in_their_turn(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = params("regressor", rows)
    kept, sent, blocks = (job(tmp_path / name, rows, given) for name in ("1", "2", "3"))
    on(gpu(), partial(FACTORS.fit, kept), monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(_gpu.Gpu, "room", lambda self: 0)
        on(gpu(), partial(FACTORS.fit, sent), patch)
    np.testing.assert_allclose(weights(sent), weights(kept), rtol=1e-3, atol=2e-5)
    monkeypatch.setattr("clary.algorithms._feed.Feed.is_kept", False)
    on(gpu(), partial(FACTORS.fit, blocks), monkeypatch)
    np.testing.assert_allclose(weights(blocks), weights(kept), rtol=1e-3, atol=2e-5)


@ROWS
def test_two_hosts_on_devices_learn_what_two_without_learn(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name, place in (("here", None), ("there", gpu())):
        pair = [
            job(
                tmp_path / name / host,
                part,
                params("regressor", rows),
                hosts=HOSTS,
                host=host,
                name=f"{tmp_path.name}-{name}",
            )
            for host, part in zip(HOSTS, (rows[:30], rows[30:]), strict=True)
        ]
        raised: list[Any] = []
        on(place, lambda: raised.extend(together([partial(FACTORS.fit, each) for each in pair])), monkeypatch)  # noqa: B023 - run at once
        assert raised == [None, None]
        found.append(weights(pair[0]))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3, atol=2e-5)


def test_rows_without_values_move_the_bias_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sparse.vstack((sparse.csr_matrix((60, 9), dtype=np.float32), DENSE[:60]), "csr")
    found = []
    for name, place, room in (("1", None, 1), ("2", gpu(), 1 << 20), ("3", gpu(), 0)):
        monkeypatch.setattr(_gpu.Gpu, "room", lambda self, room=room: room)
        done = job(tmp_path / name, rows, params("regressor", rows, mini_batch_size=1, epochs=2))
        on(place, partial(FACTORS.fit, done), monkeypatch)
        found.append(weights(done))
    np.testing.assert_allclose(found[1:], found[:1] * 2, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("is_binary", [True, False])
def test_scores_wait_until_somebody_asks(is_binary: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 25)
    here, there = Sums(is_binary=is_binary), DeviceSums(gpu(), is_binary=is_binary)
    for _ in range(7):
        scores, labels = draw.random(10).astype(np.float32), draw.integers(0, 2, 10).astype(np.float32)
        here.add(scores, labels)
        there.add(torch.tensor(scores), labels)
        assert there.n_rows == here.n_rows
    for name, (kind, value) in here.metrics().items():
        assert there.metrics()[name][0] == kind
        assert there.metrics()[name][1] == pytest.approx(value)


@ROWS
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_stays_on_one_device(kind: str, rows: Any, nowhere: _gpu.Gpu) -> None:
    machine = DeviceMachine(nowhere, params(kind, rows))
    put = machine._gpu.put
    touched = None if rows is DENSE else put(np.unique(rows[:40].indices).astype(np.int64))
    thin, _ = module._thin(rows[:40])
    there: Any = put(rows[:40].toarray()) if touched is None else sparse_rows(machine._gpu, thin)
    squares = there * there if touched is None else there.squared()
    labels = put(np.ones(40, np.float32))
    machine._n_steps = 1
    said, scores = machine.slopes(there, squares, labels, touched)
    machine.move(*said, 1 / 40, 0.5)
    assert scores.device.type == machine._there.device.type == machine._bias_there.device.type == "meta"
    machine._bias_there = torch.zeros(1, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="at least two devices"):
        machine.slopes(there, squares, labels, touched)
