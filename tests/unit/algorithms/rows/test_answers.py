"""Requests and answers of the algorithms of rows, in every form."""

import json
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from clary.algorithms import _answers, _requests
from clary.algorithms.base import Question, Refusal
from clary.toolkit.formats import recordio_protobuf

ROWS = np.array([[1, 2.5, -3], [0, 0, 4]], np.float32)
RECORDS = "application/x-recordio-protobuf"


def decoded(body: Any, content_type: str, n_features: int = 3) -> Any:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    rows = _requests.decode(Question(body=body, content_type=content_type), n_features)
    return rows if isinstance(rows, np.ndarray) else rows.toarray()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"1,2.5,-3\n0,0,4", "text/csv"),
        (b"9,1,2.5,-3\n9,0,0,4\n", "text/csv;label_size=1"),
        ({"instances": [{"features": row} for row in ROWS.tolist()]}, "application/json"),
        (
            {"instances": [{"data": {"features": {"values": row}}} for row in ROWS.tolist()]},
            "application/json",
        ),
        ({"instances": [{"data": {"features": row}} for row in ROWS.tolist()]}, "application/json"),
        (
            {
                "instances": [
                    {"data": {"features": {"keys": [0, 1, 2], "shape": [3], "values": [1, 2.5, -3]}}},
                    {"data": {"features": {"keys": [2], "shape": [3], "values": [4]}}},
                ]
            },
            "application/json",
        ),
        (
            b'{"features": [1, 2.5, -3]}\n{"data": {"features": {"values": [0, 0, 4]}}}\n',
            "application/jsonlines",
        ),
        (recordio_protobuf.write(ROWS), RECORDS),
        (recordio_protobuf.write(sparse.csr_matrix(ROWS)), RECORDS),
        (recordio_protobuf.write(ROWS), ""),
    ],
)
def test_every_documented_form_of_a_request_is_read(body: Any, content_type: str) -> None:
    assert decoded(body, content_type).tolist() == ROWS.tolist()


@pytest.mark.parametrize(
    ("body", "content_type", "status", "text"),
    [
        (b"1,2", "text/csv", 400, "rows have 2 features, and the model has 3"),
        (b"1,,3", "text/csv", 400, "missing or infinite"),
        (b"a,b,c", "text/csv", 400, "line 1"),
        (b"{", "application/json", 400, "not JSON"),
        (b'{"rows": []}', "application/json", 400, '"instances"'),
        (b'{"instances": [{"features": [1, 2]}, {"features": [1]}]}', "application/json", 400, "1, 2"),
        (b'{"instances": [{"features": "x"}]}', "application/json", 400, "row 0"),
        (b'{"features": [1, 2, 3]}\nx', "application/jsonlines", 400, "line 2"),
        (
            b'{"instances": [{"data": {"features": {"keys": [%d], "values": [1]}}}]}' % 2**70,
            "application/json",
            400,
            "row 0",
        ),
        (b'{"features": [%d, 2, 3]}' % 10**400, "application/jsonlines", 400, "row 0"),
        (b"1," * 20_000, "text/csv", 400, "rows have 20001 features, and the model has 3"),
        (b"no records at all", RECORDS, 400, "no RecordIO frame"),
        (b"x", "image/png", 415, "image/png is not an accepted ContentType"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(body: bytes, content_type: str, status: int, text: str) -> None:
    with pytest.raises(Refusal, match=r"unable to evaluate payload provided|is not an accepted") as refused:
        decoded(body, content_type)
    assert refused.value.status == status
    assert text in refused.value.message


COLUMNS = {"score": np.array([0.5, 1.5], np.float32), "places": np.array([[1, 2], [3, 4]], np.float32)}


def test_an_answer_has_one_shape_in_four_spellings() -> None:
    assert json.loads(_answers.encode(COLUMNS, "application/json", "found")) == {
        "found": [{"score": 0.5, "places": [1.0, 2.0]}, {"score": 1.5, "places": [3.0, 4.0]}]
    }
    lines = _answers.encode(COLUMNS, "application/jsonlines").splitlines()
    assert json.loads(lines[1]) == {"score": 1.5, "places": [3.0, 4.0]}
    assert _answers.encode(COLUMNS, "text/csv") == b"0.5,1.0,2.0\n1.5,3.0,4.0\n"
    records = list(recordio_protobuf.decode_records(_answers.encode(COLUMNS, RECORDS)))
    assert [record.label["places"].values.tolist() for record in records] == [[1, 2], [3, 4]]
    assert _answers.encode(COLUMNS, RECORDS) == recordio_protobuf.encode(
        [{"score": 0.5, "places": [1, 2]}, {"score": 1.5, "places": [3, 4]}]
    )


def test_accept_chooses_the_first_that_is_known_and_may_be_verbose() -> None:
    default = "application/json"
    assert _answers.accepted("", default) == (default, False)
    assert _answers.accepted("image/png, text/csv", default) == ("text/csv", False)
    assert _answers.accepted("application/jsonlines; verbose=true", default) == (
        "application/jsonlines",
        True,
    )
    with pytest.raises(Refusal, match="image/png is not supported"):
        _answers.accepted("image/png", default)
