import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.toolkit.formats import csv
from clary.toolkit.formats.base import FormatError, MediaType

numbers = st.floats(width=32, allow_nan=True, allow_infinity=False)


def written(folder: Any, **files: Any) -> Any:
    paths = []
    for name, text in files.items():
        path = folder / f"{name}.csv"
        path.write_text(text)
        paths.append(path)
    return paths


def test_the_label_comes_first_and_files_are_put_together(tmp_path):
    table = csv.read(written(tmp_path, a="1,2,3\n0,4,5\n", b="1,6,7\n", empty=""))
    assert np.asarray(table.labels).tolist() == [1, 0, 1]
    assert table.features.tolist() == [[2, 3], [4, 5], [6, 7]]
    assert table.features.dtype == np.float32


def test_weights_stand_behind_the_label(tmp_path):
    table = csv.read(written(tmp_path, a="1,0.5,3\n0,2,4\n"), has_weights=True)
    assert np.asarray(table.weights).tolist() == [0.5, 2]
    assert table.features.tolist() == [[3], [4]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
def test_a_delimiter_is_found_in_the_first_line(tmp_path, delimiter):
    table = csv.read(written(tmp_path, a=delimiter.join("123") + "\n"))
    assert table.features.tolist() == [[2, 3]]


def test_an_empty_field_is_missing(tmp_path):
    table = csv.read(written(tmp_path, a='1,,3\n0,"4",NA\n'))
    assert np.isnan(table.features).tolist() == [[True, False], [False, True]]


def test_many_rows_with_gaps_read_as_few_do(tmp_path):
    lines = ["1,,3", "0,4,5"] * 4000
    table = csv.read(written(tmp_path, a="\n".join(lines)))
    assert table.features[:2].tolist()[1] == [4, 5]
    assert np.isnan(table.features[:, 0]).sum() == 4000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n0,x\n", "train/a.csv, line 2: column 2 is 'x', not a number (delimiter ',')"),
        ("1,2\n\n0\n", "train/a.csv, line 3 has 1 columns, and the lines before it 2"),
        ("label,age\n1,2\n", "train/a.csv, line 1: column 1 is 'label', not a number"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path, text, message):
    folder = tmp_path / "train"
    folder.mkdir()
    with pytest.raises(FormatError) as refused:
        csv.read(written(folder, a=text), folder=folder)
    assert str(refused.value).startswith(message)


def test_a_header_is_called_one(tmp_path):
    with pytest.raises(FormatError, match="looks like a header"):
        csv.read(written(tmp_path, a="label,age\n1,2\n"))


def test_a_ragged_long_file_is_refused_and_not_filled_up(tmp_path):
    text = "1,2,3\n" * 8000 + "1,2\n"
    with pytest.raises(FormatError, match="line 8001 has 2 columns"):
        csv.read(written(tmp_path, a=text))


@given(rows=st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_request_decodes_to_what_was_written(rows):
    body = "\n".join(",".join("" if math.isnan(value) else repr(value) for value in row) for row in rows)
    np.testing.assert_array_equal(csv.decode(body.encode()), np.array(rows, np.float32))


def test_a_long_request_decodes_as_a_short_one_does():
    body = b"1.5,2.5\n" * 9000
    assert np.array_equal(csv.decode(body), np.tile(csv.decode(b"1.5,2.5"), (9000, 1)))


@pytest.mark.parametrize("body", [b"a,b", b"1,2\n3", b"\xff\xfe", b"1,2;3"])
def test_a_request_that_is_no_csv_is_refused(body):
    with pytest.raises(FormatError):
        csv.decode(body)


@pytest.mark.parametrize("body", [b"1;2", b"1\t2", b"1 2", b"1|2", b"1,2\r\n", b"\xef\xbb\xbf1,2"])
def test_a_request_may_use_other_delimiters_line_ends_and_a_mark(body):
    assert csv.decode(body).tolist() == [[1, 2]]


def test_answers_end_each_row():
    assert csv.encode([1.5, 2.0]) == b"1.5\n2.0\n"
    assert csv.encode([[1, 2], [3, 4]]) == b"1,2\n3,4\n"


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("text/csv", {}),
        ("Text/CSV; label_size=1", {"label_size": "1"}),
        ("text/csv;label_size=0; delimiter=;", {"label_size": "0", "delimiter": ";"}),
        ('text/csv; delimiter="|"; header=absent', {"delimiter": "|", "header": "absent"}),
        ("text/csv; delimiter=\t", {"delimiter": "\t"}),
    ],
)
def test_a_content_type_is_taken_apart(text, parameters):
    media = MediaType.parse(text)
    assert media.name == "text/csv"
    assert media.parameters == parameters


@pytest.mark.parametrize("body", [b"\n", b" ", b"\r\n\r\n", b"\n" * 40_000])
def test_a_request_of_blank_lines_is_refused(body):
    with pytest.raises(FormatError, match="no rows"):
        csv.decode(body)


def test_one_very_wide_row_with_a_gap_needs_no_frame(monkeypatch):
    """Pandas takes minutes for a row of millions of columns."""
    monkeypatch.setattr("pandas.read_csv", None)
    assert np.isnan(csv.decode(b"1," * 20_000)[0, -1])


@pytest.mark.parametrize(
    ("body", "delimiter", "width"),
    [(b"1,2,3\n4", None, 3), (b" 1 2", None, 2), (b"1;2;", ";", 3), (b"7", None, 1), (b"\n1,2", None, 2)],
)
def test_columns_are_counted_ahead(body, delimiter, width):
    assert csv.n_columns(body, delimiter) == width
