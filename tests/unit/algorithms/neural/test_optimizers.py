"""Optimisers: the same by rows as by tables, and down a slope."""

import math
from typing import Any

import numpy as np
import pytest

from clary.algorithms._gradients import by_row
from clary.algorithms._optimizers import NAMES, optimizer


@pytest.mark.parametrize("name", NAMES)
def test_steps_of_all_rows_are_steps_of_the_table(name: str) -> None:
    draw = np.random.default_rng(0)
    table = draw.standard_normal((7, 3)).astype(np.float32)
    whole, rows = table.copy(), table.copy()
    one = optimizer(name, 0.1, weight_decay=0.01, clip=1.5, rescale=0.5)
    other = optimizer(name, 0.1, weight_decay=0.01, clip=1.5, rescale=0.5)
    for _ in range(4):
        gradient = draw.standard_normal((7, 3)).astype(np.float32)
        one.step({"table": whole}, {"table": gradient})
        other.step_rows("table", rows, np.arange(7), gradient)
    np.testing.assert_array_equal(whole, rows)
    assert not np.allclose(whole, table)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_goes_down(name: str) -> None:
    values = {"x": np.full(3, 2.0, np.float32)}
    steps = optimizer(name, 0.05)
    for _ in range(300):
        steps.step(values, {"x": 2 * values["x"]})
    assert np.abs(values["x"]).max() < 1.5


def test_rows_that_were_not_touched_stay() -> None:
    table = np.ones((5, 2), np.float32)
    optimizer("adam", 0.1).step_rows("table", table, np.array([1, 3]), np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(table[[0, 2, 4]], 1)
    assert (table[[1, 3]] < 1).all()


def test_gradients_of_a_row_add_up_over_its_uses() -> None:
    gradient = np.array([[1.0, 2.0], [10.0, 20.0]], np.float32)
    rows, found = by_row(np.array([4, 2, 4]), np.array([0, 2, 3]), gradient)
    assert rows.tolist() == [2, 4]
    np.testing.assert_array_equal(found, [[1, 2], [11, 22]])
    rows, found = by_row(np.zeros(0, np.intp), np.zeros(3, np.intp), gradient)
    assert (rows.size, found.shape) == (0, (0, 2))


def test_adam_is_the_papers(monkeypatch: Any) -> None:
    values = {"x": np.array([1.0], np.float32)}
    steps, mean, square, wanted = optimizer("adam", 0.1), 0.0, 0.0, 1.0
    for step, gradient in enumerate((0.5, -2.0, 1.0), 1):
        steps.step(values, {"x": np.array([gradient], np.float32)})
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        wanted -= 0.1 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    assert values["x"][0] == pytest.approx(wanted, rel=1e-4)


def test_weights_decay_and_biases_do_not() -> None:
    values = {name: np.ones(2, np.float32) for name in ("weight_0", "bias_0", "last_bias")}
    optimizer("sgd", 1.0, weight_decay=0.5).step(values, {name: np.zeros(2, np.float32) for name in values})
    assert {name: float(each[0]) for name, each in values.items()} == {
        "weight_0": 0.5,
        "bias_0": 1.0,
        "last_bias": 1.0,
    }


def by_its_definition(name: str, gradients: list[float], rate: float) -> float:
    """Return where one number that begins at 1 ends, in double precision, as MXNet's pages define it."""
    value, mean, square, moved = 1.0, 0.0, 0.0, 0.0
    for step, gradient in enumerate(gradients, 1):
        if name == "sgd":
            value -= rate * gradient
        elif name == "adagrad":
            square += gradient**2
            value -= rate * gradient / math.sqrt(square + 1e-7)
        elif name == "rmsprop":
            square = 0.9 * square + 0.1 * gradient**2
            value -= rate * gradient / math.sqrt(square + 1e-8)
        elif name == "adadelta":
            square = 0.9 * square + 0.1 * gradient**2
            change = gradient * math.sqrt((moved + 1e-5) / (square + 1e-5))
            moved = 0.9 * moved + 0.1 * change**2
            value -= change
        else:
            mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
            bent = rate * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            value -= bent * mean / (math.sqrt(square) + 1e-8)
    return value


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_is_its_definition(name: str) -> None:
    gradients = [0.5, -2.0, 1.0, 0.001, 0.3]
    values, steps = {"x": np.array([1.0], np.float32)}, optimizer(name, 0.1)
    for gradient in gradients:
        steps.step(values, {"x": np.array([gradient], np.float32)})
    assert values["x"][0] == pytest.approx(by_its_definition(name, gradients, 0.1), rel=1e-5)
