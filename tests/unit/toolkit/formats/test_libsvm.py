from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.toolkit.formats import libsvm
from clary.toolkit.formats.base import FormatError

rows = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.dictionaries(st.integers(0, 9), st.floats(-100, 100, width=32).filter(bool), max_size=5),
    ),
    min_size=1,
    max_size=6,
)


def write(path: Any, text: Any) -> Any:
    path.write_text(text)
    return [path]


@given(rows=rows, has_queries=st.booleans())
def test_rows_read_back_as_written(rows, has_queries, tmp_path_factory):
    lines = [
        f"{label} {f'qid:{number} ' if has_queries else ''}"
        + " ".join(f"{key}:{value!r}" for key, value in row.items())
        for number, (label, row) in enumerate(rows)
    ]
    table = libsvm.read(write(tmp_path_factory.mktemp("libsvm") / "rows", "\n".join(lines)))
    assert np.asarray(table.labels).tolist() == [label for label, _ in rows]
    dense = table.features.toarray()
    for number, (_, row) in enumerate(rows):
        assert {key: float(dense[number, key]) for key in row} == {
            key: float(value) for key, value in row.items()
        }
    assert (table.groups is not None) == has_queries


def test_indices_are_taken_as_they_are_and_files_widened(tmp_path):
    paths = [*write(tmp_path / "a", "1 1:5\n"), *write(tmp_path / "b", "0 3:7\n")]
    table = libsvm.read(paths)
    assert table.features.toarray().tolist() == [[0, 5, 0, 0], [0, 0, 0, 7]]


def test_weights_comments_and_empty_lines(tmp_path):
    table = libsvm.read(write(tmp_path / "a", "1:0.5 0:2 # first\n\n0:2 1:3\n"))
    assert np.asarray(table.labels).tolist() == [1, 0]
    assert np.asarray(table.weights).tolist() == [0.5, 2]
    assert table.features.toarray().tolist() == [[2, 0], [0, 3]]


@pytest.mark.parametrize("line", ["1,2,3", "1 2:x", "x 1:2", "1 -1:2", "1 2", "1 1.5:2"])
def test_a_bad_line_is_named(tmp_path, line):
    with pytest.raises(FormatError, match="a, line 2"):
        libsvm.read(write(tmp_path / "a", f"1 1:2\n{line}\n"))


def test_a_request_may_have_labels_or_none():
    with_labels = libsvm.decode(b"1 0:2 2:3\n0 1:4")
    without = libsvm.decode(b"0:2 2:3\n1:4\n")
    assert np.array_equal(with_labels.toarray(), without.toarray())
    assert without.toarray().tolist() == [[2, 0, 3], [0, 4, 0]]
