"""CSV of script mode is what `genfromtxt` makes of it, however it is read."""

import io
import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.toolkit.formats import arrays

FIELDS = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.sampled_from(["", "1", " 2 ", "nan", "inf", "x", "1_0", "#", "1#2", "0x10", "1e400"]),
)
ROWS = st.lists(st.lists(FIELDS, min_size=1, max_size=4).map(",".join), max_size=4)


def outcome(read: object) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = read()  # type: ignore[operator]
        except ValueError:
            return ValueError
    return found.shape, found.dtype, found.tobytes()


@settings(deadline=None)
@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\n", "\n\n"]))
def test_every_body_is_read_as_genfromtxt_reads_it(rows: list[str], between: str, end: str) -> None:
    text = between.join(rows) + end
    wanted = outcome(lambda: np.genfromtxt(io.StringIO(text), delimiter=","))
    assert outcome(lambda: arrays.decode(text, "text/csv")) == wanted
