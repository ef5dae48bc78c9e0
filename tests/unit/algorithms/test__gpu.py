"""Where there is no GPU, or nothing to compute on it with, algorithms of NumPy stay on the processor."""

import sys
from pathlib import Path

import pytest

from clary.algorithms import _gpu


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it look as if NVIDIA's driver ran, and torch were not installed."""
    monkeypatch.setattr(_gpu, "CONTROL", Path(__file__))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setitem(sys.modules, "torch", None)


def test_a_machine_without_a_driver_is_not_asked_for_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_gpu, "CONTROL", tmp_path / "nvidiactl")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert _gpu.find.__wrapped__() is None
    assert not capsys.readouterr().out


@pytest.mark.usefixtures("driver")
def test_a_gpu_without_torch_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert _gpu.find.__wrapped__() is None
    assert "WARNING" in (said := capsys.readouterr().out)
    assert "pip install 'clary[torch]'" in said


@pytest.mark.usefixtures("driver")
def test_a_job_that_was_given_no_gpu_has_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert _gpu.find.__wrapped__() is None
    assert not capsys.readouterr().out
