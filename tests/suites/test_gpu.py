"""Algorithms of NumPy on a GPU's code: all laws, and the answers that NumPy's own models give.

torch's processor stands in for the device, so that the same lines run everywhere; whether they mix up devices
is asked of tensors that only claim to be on one (`FakeTensorMode`), in each algorithm's own tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from clary.algorithms import _gpu, base
from clary.testing.algorithm_suite import AlgorithmSuite, ask, numbers, train

if TYPE_CHECKING:
    from pathlib import Path

    from clary.algorithms.base import Algorithm

pytestmark = pytest.mark.torch

MOVES: dict[str, float] = {
    "factorization_machines": 1e-3,
    "ipinsights": 1e-5,
    "knn": 1e-6,
    "kmeans": 1e-5,
    "linear_learner": 1e-4,
    "ntm": 1e-5,
    "object2vec": 1e-5,
    "pca": 1e-4,
}
"""Algorithms whose arithmetic goes to the device, and how far their answers may be from NumPy's."""

DRAWN = ("blazingtext",)
"""Algorithms that draw other numbers on a device: their own tests compare what their models are worth."""


@dataclass(frozen=True)
class _Seen(_gpu.Gpu):
    """A device that counts what it is given."""

    given: list[int]

    def put(self, values: Any) -> Any:
        self.given.append(values.size)
        return super().put(values)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> _Seen:
    torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
    found = _Seen(torch, torch.device("cpu"), [])
    monkeypatch.setattr(_gpu, "find", lambda: found)
    return found


@pytest.fixture(params=sorted(MOVES))
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    return base.find(request.param)


@pytest.mark.usefixtures("device")
class TestOnADevice(AlgorithmSuite):
    @pytest.fixture(params=sorted((*MOVES, *DRAWN)))
    def algorithm(self, request: pytest.FixtureRequest) -> Algorithm:
        return base.find(request.param)


def test_a_model_made_on_a_device_answers_as_one_of_the_processor(
    algorithm: Algorithm, device: _Seen, tmp_path: Path
) -> None:
    for example in base.examples(algorithm.name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_gpu, "find", lambda: None)
            wanted = numbers(
                ask(algorithm, example, train(algorithm, example, tmp_path / example.name / "1"))
            )
        before = len(device.given)
        found = numbers(ask(algorithm, example, train(algorithm, example, tmp_path / example.name / "2")))
        assert len(device.given) > before, f"{example.name} was not trained on the device"
        assert found == pytest.approx(wanted, abs=MOVES[algorithm.name], rel=MOVES[algorithm.name])
