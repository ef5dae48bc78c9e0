import io
import pickle
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from clary.toolkit.formats import arrays, jsonlines, npy
from clary.toolkit.formats.base import FormatError


@pytest.mark.parametrize("content_type", ["application/json", "text/csv", "application/x-npy"])
def test_an_array_is_decoded_as_it_was_encoded(content_type):
    values = np.array([[1.5, 2], [3, 4]])
    assert np.array_equal(arrays.decode(arrays.encode(values, content_type), content_type), values)


def test_spellings_are_the_toolkits():
    assert arrays.encode(np.array([1, 2]), "application/json") == b"[1, 2]"
    assert arrays.encode(np.array([1.5, 2]), "text/csv") == b"1.5\n2.0\n"
    assert arrays.encode({"a": np.float32(1)}, "application/json") == b'{"a": 1.0}'


def test_a_sparse_matrix_comes_as_npz():
    stream = io.BytesIO()
    sparse.save_npz(stream, sparse.csr_matrix([[0, 1]]))
    assert arrays.decode(stream.getvalue(), "application/x-npz").toarray().tolist() == [[0, 1]]


def test_an_unknown_type_is_refused_in_the_toolkits_words():
    with pytest.raises(
        arrays.UnsupportedFormat, match="Content type image/png is not supported by this framework"
    ):
        arrays.decode(b"", "image/png")
    with pytest.raises(arrays.UnsupportedFormat, match="image/png"):
        arrays.encode([1], "image/png")


class Planted:
    def __reduce__(self) -> Any:
        return (print, ("run",))


def test_a_pickle_in_an_array_is_never_run(capsys):
    stream = io.BytesIO()
    np.save(stream, np.array([Planted()], dtype=object), allow_pickle=True)
    for body in (stream.getvalue(), pickle.dumps(Planted())):
        with pytest.raises(FormatError):
            npy.decode(body)
    assert capsys.readouterr().out == ""


def test_json_lines_round_trip_and_name_a_bad_line():
    assert jsonlines.decode(jsonlines.encode([{"a": 1}, [2]])) == [{"a": 1}, [2]]
    with pytest.raises(FormatError, match="line 2"):
        jsonlines.decode(b"{}\n{")
