"""Numbers written many at a time read as Python writes each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clary.toolkit.transform import floats


def plain(values):
    return ("\n".join(map(repr, values.tolist())) + "\n").encode()


@pytest.fixture(autouse=True)
def always(monkeypatch):
    monkeypatch.setattr(floats, "WORTH_ROWS", 1)
    monkeypatch.setattr(floats, "_FEW", 1)


@given(arrays.arrays(np.float32, st.integers(0, 30), elements=st.floats(width=32)))
def test_of_float32(values):
    assert floats.lines(values) == plain(values)


@given(arrays.arrays(np.float64, st.integers(0, 30)))
def test_of_float64(values):
    assert floats.lines(values) == plain(values)


@given(arrays.arrays(np.float32, 20, elements=st.floats(0, 1, width=32)))
def test_of_probabilities(values):
    assert floats.lines(values) == plain(values)


@pytest.mark.parametrize("values", [np.arange(5), np.ones((2, 3), np.float32), np.zeros(0, np.float32)])
def test_of_whole_numbers_rows_and_nothing(values):
    assert floats.lines(values) == plain(values)
