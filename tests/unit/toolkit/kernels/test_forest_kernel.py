"""Forests: no file leads a row out of the arrays, and with or without numba the sums are the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.toolkit.kernels import forest
from clary.toolkit.kernels.forest import LINKS, Forest


def stumps(n_trees: int = 5, n_groups: int = 1, link: str = "identity") -> Forest:
    """Return trees of one split each: feature i % 2 below i goes left to -i, else to i."""
    nodes, splits, values = [], [], []
    for tree in range(n_trees):
        first = 3 * tree
        nodes += [(tree % 2 << 1 | tree % 3 % 2, first + 1), (1, first + 1), (1, first + 2)]
        splits += [float(tree), np.nan, np.nan]
        values += [0.0, -float(tree), float(tree)]
    trees = [(3 * tree, tree % n_groups, 1) for tree in range(n_trees)]
    return Forest(
        np.array(nodes, np.int32),
        np.array(splits, np.float32),
        np.array(values, np.float32),
        np.array(trees, np.int32).reshape(-1, 3),
        np.full(n_groups, 0.5, np.float32),
        link,
        2,
    )


VALUES = st.one_of(st.floats(-6, 6, width=32), st.just(float("nan")))


@settings(deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6), st.integers(1, 9), st.sampled_from(LINKS))
def test_with_and_without_numba_it_predicts_the_same(
    rows: list[tuple[float, float]], n_trees: int, link: str
) -> None:
    model = stumps(n_trees, 2 if link in {"best", "softmax"} else 1, link)
    model.check()
    table = np.array(rows, np.float32)
    found = model.score(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forest, "compiled", lambda: None)
        plain = model.score(table)
    assert found.shape == plain.shape == (len(rows), model.n_outputs)
    np.testing.assert_allclose(found, plain, rtol=1e-6)
    if link == "identity":
        assert np.array_equal(found, plain)


@settings(deadline=None)
@given(
    name=st.sampled_from(["nodes", "trees"]),
    place=st.integers(0, 200),
    value=st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-20, 40)),
)
def test_a_forest_that_passes_the_check_can_be_walked(name: str, place: int, value: int) -> None:
    model = stumps(8)
    array: Any = getattr(model, name)
    array.reshape(-1)[place % array.size] = value
    try:
        model.check()
    except ValueError:
        return
    n_nodes = model.nodes.shape[0]
    rows = np.array([[1.0, 2.0], [np.nan, -1.0], [9.0, np.nan]], np.float32)
    for root, group, depth in model.trees.tolist():
        assert 0 <= root < n_nodes
        assert group == 0
        for row in rows:
            at = root
            for _ in range(depth):
                test, left = model.nodes[at].tolist()
                cell = row[test >> 1]
                at = left + int((test & 1) == 0 if np.isnan(cell) else cell >= model.splits[at])
                assert 0 <= at < n_nodes
    model.score(rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"splits": np.zeros(3, np.float32)},
        {"values": np.zeros((15, 1), np.float32)},
        {"base": np.zeros(0, np.float32)},
        {"nodes": np.zeros((15, 2), np.int64)},
        {"link": "eval"},
        {"n_features": 0},
        {"trees": np.zeros((3, 2), np.int32)},
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(changes: dict[str, Any]) -> None:
    model = stumps()
    given_arrays = {name: getattr(model, name) for name in Forest.__slots__} | changes
    with pytest.raises(ValueError, match=r"\w"):
        Forest(**given_arrays).check()
