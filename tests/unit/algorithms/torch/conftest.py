"""Devices that tests have without a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clary.algorithms._gpu import Gpu

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def nowhere() -> Iterator[Gpu]:
    """Yield a device whose tensors have no numbers, and go together with those of no other.

    `meta` stands for `cuda`: on that, a torch built without CUDA does not even take a slice.
    """
    torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
    from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: PLC0415 - where torch is

    mode = FakeTensorMode()
    mode.allow_meta = True
    with mode:
        yield Gpu(torch, torch.device("meta"))
