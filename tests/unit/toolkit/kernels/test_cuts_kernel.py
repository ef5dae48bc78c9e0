"""Trees of random cuts: with or without numba they are the same, and a stream keeps them right."""

from typing import Any

import numpy as np
import pytest

from clary.algorithms.randomcutforest.forest import Forest
from clary.algorithms.randomcutforest.stream import StreamingForest
from clary.kernel.errors import CustomerError
from clary.toolkit.kernels import cuts


@pytest.fixture
def samples() -> Any:
    draw = np.random.default_rng(3)
    return np.round(draw.normal(size=(4, 20, 3)), 1).astype(np.float32)  # some values are equal


def test_with_and_without_numba_scores_are_the_same(monkeypatch: pytest.MonkeyPatch, samples: Any) -> None:
    rows = np.random.default_rng(4).normal(size=(30, 3)).astype(np.float32)
    rows[:5] = samples[0, :5]
    fast = Forest.grow(samples.copy(), np.random.default_rng(5))
    said = fast.score(rows)
    monkeypatch.setattr(cuts, "compiled", lambda: None)
    slow = Forest.grow(samples.copy(), np.random.default_rng(5))
    np.testing.assert_allclose(slow.score(rows), said, rtol=1e-5)
    np.testing.assert_allclose(slow.cuts, fast.cuts, rtol=1e-6)


@pytest.mark.parametrize("has_numba", [True, False])
def test_equal_rows_share_a_leaf_and_one_row_is_a_tree(
    monkeypatch: pytest.MonkeyPatch, has_numba: bool
) -> None:
    if not has_numba:
        monkeypatch.setattr(cuts, "compiled", lambda: None)
    for rows in (np.ones((2, 6, 2), np.float32), np.ones((2, 1, 2), np.float32)):
        forest = Forest.grow(rows, np.random.default_rng(0))
        same, other = forest.score(np.array([[1, 1], [2, 2]], np.float32))
        assert 0 < same < other


def test_a_far_row_scores_highest(samples: Any) -> None:
    forest = Forest.grow(samples, np.random.default_rng(5))
    near, far = forest.score(np.array([[0, 0, 0], [30, 30, -30]], np.float32))
    assert far > 2 * near


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [("nodes", (0, 0, 0), 3), ("nodes", (0, 3, 1), 1), ("nodes", (0, 0, 2), 99), ("nodes", (0, 0, 0), -1)],
)
def test_a_model_that_would_lead_a_row_astray_is_refused(
    samples: Any, name: str, place: Any, value: int
) -> None:
    model = {key: each.copy() for key, each in Forest.grow(samples, np.random.default_rng(5)).arrays.items()}
    Forest.of(model)
    model[name][place] = value
    with pytest.raises(CustomerError, match="Unable to load model"):
        Forest.of(model)


def test_a_stream_keeps_every_tree_right() -> None:
    draw = np.random.default_rng(1)
    forest = StreamingForest(2, n_trees=5, n_rows=8, half_life=20)
    assert forest.score([1, 1]) == 0
    for number in range(100):
        forest.update(draw.integers(0, 4, 2))  # many are equal
        for tree, leaves in enumerate(forest._leaves):
            n_rows = min(number + 1, 8)
            root, points = forest._state[tree, 0], forest._points[tree][leaves[:n_rows] - 7]
            assert forest._masses[tree, root] == n_rows
            if root < 7:
                assert (forest._boxes[tree, root] == [points.min(axis=0), points.max(axis=0)]).all()
    assert forest.score([1, 1]) < forest.score([40, 40])


def test_a_stream_forgets_and_is_frozen() -> None:
    draw = np.random.default_rng(2)
    forest = StreamingForest(2, n_trees=40, n_rows=32, half_life=50)
    for centre in (0, 50):
        for _ in range(600):
            forest.update(draw.normal(centre, 1, 2))
    assert forest.score([0, 0]) > 1.5 * forest.score([50, 50])
    said = forest.frozen().score(np.array([[0, 0], [50, 50]], np.float32))
    assert said[0] > 1.5 * said[1]
    with pytest.raises(CustomerError, match="2 finite features"):
        forest.update([1, 2, 3])
