"""Where algorithms of NumPy find a GPU."""

from pathlib import Path

import numpy as np
import pytest

from clary.algorithms import _gpu
from clary.algorithms._gpu import STAND_IN_BYTES, Gpu

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")

pytestmark = pytest.mark.torch


def test_a_tensor_has_memory_of_its_own_and_comes_back_as_an_array() -> None:
    gpu, rows = Gpu(torch, torch.device("cpu")), np.arange(6, dtype=np.float32).reshape(2, 3).T
    there = gpu.put(rows)
    there += 1
    np.testing.assert_array_equal(gpu.take(there), rows + 1)
    assert gpu.take(there).dtype == np.float32


def test_half_of_what_is_free_on_a_device_may_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: ((6 << 30) + device.index, 16 << 30))
    assert Gpu(torch, torch.device("cuda", 0)).room() == 3 << 30
    assert Gpu(torch, torch.device("cpu")).room() == STAND_IN_BYTES


def test_nothing_is_shortened_on_a_device_that_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gpu, "CONTROL", Path(__file__))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "a device")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    asked: list[dict[str, bool]] = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda **given: asked.append(given))
    found = _gpu.find.__wrapped__()
    assert found is not None
    assert found.device == torch.device("cuda", 0)
    assert asked == [{"mode": True, "warn_only": True}]
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
