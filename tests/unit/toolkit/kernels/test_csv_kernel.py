"""The parser of plain CSV says what the careful one says, or nothing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.toolkit.formats import csv as careful
from clary.toolkit.formats.base import FormatError
from clary.toolkit.kernels import csv

WIDTH = 3
ROOM = np.empty((16, WIDTH), np.float32)
FLOATS = st.floats(width=64, allow_nan=False, allow_infinity=False)
SPELLINGS = (repr, "{:.6g}".format, "{:.20e}".format, "{:.3f}".format, "{:+.17g}".format, "{:E}".format)


def one(text: str) -> float | None:
    """Return what the kernel makes of one number."""
    found = csv.parse(f"{text},0,0".encode(), ROOM)
    return float(ROOM[0, 0]) if found == 1 else None


@settings(deadline=None)
@given(FLOATS, st.sampled_from(SPELLINGS))
def test_a_number_is_the_float32_of_the_float64_nearest_to_its_text(value: float, spell: object) -> None:
    text = spell(value)  # type: ignore[operator]
    with np.errstate(over="ignore"):
        wanted = np.float32(float(text))
    found = one(text)
    assert found is None or np.float32(found).tobytes() == wanted.tobytes()
    if np.isfinite(wanted) and 1e-30 < abs(value) < 1e30:
        assert found is not None, text


@settings(deadline=None)
@given(st.integers(0, 10**25), st.integers(-45, 45), st.integers(0, 25))
def test_digits_beyond_what_fits_are_weighed_too(digits: int, power: int, point: int) -> None:
    text = str(digits).rjust(point + 1, "0")
    text = f"{text[: len(text) - point]}.{text[len(text) - point :]}e{power}"
    with np.errstate(over="ignore"):
        wanted = np.float32(float(text))
    assert (found := one(text)) is None or np.float32(found).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("float32", [1.0, 0.1, 1e-38, 3.4e38, 16777217.0])
def test_halfway_between_two_float32_is_never_guessed(float32: float) -> None:
    low = np.float32(float32)
    middle = (float(low) + float(np.nextafter(low, np.float32(np.inf)))) / 2
    for text in (f"{middle:.40g}", f"{middle:.25e}", repr(middle)):
        assert (found := one(text)) is None or np.float32(found) == np.float32(float(text))


FIELDS = st.one_of(
    FLOATS.map(repr),
    st.sampled_from([*"1x.", "", " ", "-1", " 2 ", "nan", "NaN", "inf", "1_0", "1e", "-.5", '"1"', "1 2"]),
)  # fmt: skip
BODIES = st.one_of(
    st.lists(st.lists(FIELDS, min_size=1, max_size=4), max_size=5).flatmap(
        lambda rows: st.sampled_from(["\n", "\r\n", "\n\n", " \n"]).map(
            lambda end: end.join(",".join(row) for row in rows)
        )
    ),
    st.text(alphabet="01.,-+eE \n\r\tn;a", max_size=40),
)


@settings(deadline=None)
@given(BODIES, st.sampled_from(["", "\n", "\r\n", " "]))
def test_what_the_kernel_reads_the_careful_parser_reads_alike(body: str, end: str) -> None:
    text = (body + end).encode()
    n_rows = csv.parse(text, ROOM)
    if n_rows < 0:
        return
    with np.errstate(over="ignore"):
        wanted = careful.decode(text, ",")
    assert wanted.shape == (n_rows, WIDTH)
    assert np.array_equal(ROOM[:n_rows], wanted, equal_nan=True)


@settings(deadline=None)
@given(BODIES)
def test_without_numba_the_same_rows_are_read(body: str) -> None:
    text = body.encode()
    n_rows = csv.parse(text, ROOM)
    rows = ROOM[: max(n_rows, 0)].copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv, "compiled", lambda: None)
        found = csv.parse(text, ROOM)
    assert found in {n_rows, -1} or n_rows < 0
    if found == n_rows > 0:
        assert np.array_equal(ROOM[:found], rows, equal_nan=True)


def test_rows_of_another_width_and_more_rows_than_fit_are_not_read() -> None:
    assert csv.parse(b"1,2", ROOM) == -1
    assert csv.parse(b"1,2,3,4", ROOM) == -1
    assert csv.parse(b"\n".join([b"1,2,3"] * 17), ROOM) == -1
    assert csv.parse(b"\n".join([b"1,2,3"] * 16), ROOM) == 16
    assert csv.parse(b"", ROOM) == -1


def test_an_empty_field_is_missing() -> None:
    assert csv.parse(b"1,,3\r\n,NaN,-0\r\n", ROOM) == 2
    assert np.array_equal(
        ROOM[:2], np.array([[1, math.nan, 3], [math.nan, math.nan, 0]], np.float32), equal_nan=True
    )
    assert math.copysign(1, ROOM[1, 2]) == -1


def test_a_refusal_leaves_the_reason_to_the_careful_parser() -> None:
    assert csv.parse(b"1,oops,3", ROOM) == -1
    with pytest.raises(FormatError, match="oops"):
        careful.decode(b"1,oops,3", ",")
