"""Compiled reading of CSV says, to the bit, what the reference says, or leaves it to it."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clary.toolkit.formats import csv
from clary.toolkit.formats.base import FormatError
from clary.toolkit.transform import columns

pytestmark = pytest.mark.skipif(not columns.is_available(), reason="pyarrow is an extra")

numbers = st.one_of(
    st.floats(width=32).map(repr),
    st.floats().map(repr),
    st.floats(-1e3, 1e3).map(lambda value: f"{value:.6g}"),
    st.floats(-1e3, 1e3).map(lambda value: f"{value:.18e}"),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=12).map(str),
)
odd = st.sampled_from(
    ["", " 1", "1 ", "NaN", "-inf", "+1", "1e400", "0x10", '"1"', "1_0", ".5", "5.", "1d3", "NA"]
)


@given(
    st.lists(st.lists(st.one_of(numbers, odd), min_size=3, max_size=3), min_size=1, max_size=5), st.booleans()
)
@example([["1.00000017881393432617187499", "0.5000000298023223876953125", "3"]], True)
def test_rows_are_those_of_the_reference(rows, ends):
    body = ("\n".join(map(",".join, rows)) + ("\n" if ends else "")).encode()
    found = columns.decode(body, 3)
    if found is None:
        return
    with np.errstate(over="ignore"):
        known = csv.decode(body)
    assert found.shape == known.shape
    assert np.array_equal(found, known, equal_nan=True)


@pytest.mark.parametrize(
    "body",
    [b"1,2\n3\n", b"1,2,3\n", b"a,b\n", b'"1",2\n', b"1,2\r\n", b"1;2\n", b"\xef\xbb\xbf1,2\n"],
)
def test_what_is_unusual_is_left_to_the_reference(body):
    assert columns.decode(body, 2) is None


def test_plain_rows_are_read():
    rows = np.random.default_rng(1).normal(size=(500, 7))
    body = b"".join(b",".join(f"{value:.9g}".encode() for value in row) + b"\n" for row in rows)
    found = columns.decode(body, 7)
    assert found is not None
    assert found.flags.c_contiguous
    assert found.dtype == np.float32
    assert np.array_equal(found, csv.decode(body))


def test_the_reference_refuses_what_it_cannot_read():
    with pytest.raises(FormatError):
        csv.decode(b"a,b\n")
