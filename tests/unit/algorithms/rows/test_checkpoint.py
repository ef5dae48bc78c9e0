"""Linear Learner goes on where a checkpoint stands, and ends as an undisturbed training does."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms.base import Training
from clary.algorithms.linear_learner import _checkpoint
from clary.algorithms.linear_learner import fit as module
from clary.testing.several_hosts import HOSTS, together, training

PARAMS = {
    "predictor_type": "binary_classifier",
    "mini_batch_size": "20",
    "num_models": "3",
    "learning_rate": "0.5",
    "early_stopping_tolerance": "0.01",
}
draw = np.random.default_rng(3)
ROWS = draw.normal(size=(200, 3))
LABELS = (ROWS[:, 0] + draw.normal(size=200) > 0).astype(int)
LINES = [f"{y},{a:.4f},{b:.4f},{c:.4f}\n" for y, (a, b, c) in zip(LABELS, ROWS, strict=True)]


class KilledError(Exception):
    """Stands for SIGKILL."""


@pytest.fixture
def job(tmp_path: Path) -> Any:
    def make(folder: str, host: str = "algo-1", hosts: Any = ("algo-1",), **more: str) -> Training:
        made = training("linear_learner", tmp_path / folder, LINES, host, hosts, PARAMS | more, "text/csv")
        (tmp_path / folder / host / "checkpoints").mkdir()
        return dataclasses.replace(made, checkpoint_dir=tmp_path / folder / host / "checkpoints")

    return make


def model(done: Training) -> bytes:
    return (done.model_dir / "model_algo-1").read_bytes()


def killed_after(n_epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    save = _checkpoint.save

    def saved(folder: Any, standing: Any, models: Any) -> None:
        save(folder, standing, models)
        if standing.epoch == n_epochs:
            raise KilledError

    monkeypatch.setattr(_checkpoint, "save", saved)


@pytest.mark.parametrize("n_epochs", [1, 4, 15])
def test_a_killed_training_ends_as_an_undisturbed_one(
    job: Any, n_epochs: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patience = {"early_stopping_patience": "20"}
    whole, cut = job("whole", **patience), job("cut", **patience)
    module.fit(whole)
    with monkeypatch.context() as patch:
        killed_after(n_epochs, patch)
        with pytest.raises(KilledError):
            module.fit(cut)
    capsys.readouterr()
    module.fit(cut)
    assert f"Resuming from epoch {n_epochs}" in capsys.readouterr().out
    assert model(cut) == model(whole)


def test_an_early_stop_stays_one(job: Any, capsys: pytest.CaptureFixture[str]) -> None:
    done = job("whole", epochs="40", early_stopping_tolerance="0.5")
    module.fit(done)
    first = model(done)
    assert "Early stop condition met" in capsys.readouterr().out
    module.fit(done)
    assert "completed" not in capsys.readouterr().out  # no epoch is trained again
    assert model(done) == first


@pytest.mark.parametrize("content", [b"", b"cut short"])
def test_a_checkpoint_that_is_none_is_passed_over(
    job: Any, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, other = job("whole"), job("other")
    module.fit(whole)
    (other.checkpoint_dir / _checkpoint.FILE).write_bytes(content)
    module.fit(other)
    assert model(other) == model(whole)
    (other.checkpoint_dir / _checkpoint.FILE).write_bytes(
        (whole.checkpoint_dir / _checkpoint.FILE).read_bytes()
    )
    capsys.readouterr()
    module.fit(
        dataclasses.replace(other, params=base.find("linear_learner").validate(PARAMS | {"num_models": "2"}))
    )
    assert "starting anew" in capsys.readouterr().out


def test_hosts_go_on_together_though_one_has_no_checkpoint(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = ([job(folder, host, HOSTS) for host in HOSTS] for folder in ("whole", "cut"))
    assert together([partial(module.fit, each) for each in whole]) == [None, None]
    with monkeypatch.context() as patch:
        killed_after(3, patch)
        raised = together([partial(module.fit, each) for each in cut])
    assert isinstance(raised[0], KilledError)
    assert not list(cut[1].checkpoint_dir.iterdir())
    assert together([partial(module.fit, each) for each in cut]) == [None, None]
    assert model(cut[0]) == model(whole[0])
