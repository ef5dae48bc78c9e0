import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from clary.toolkit import recordio
from clary.toolkit.formats import recordio_protobuf
from clary.toolkit.formats.base import FormatError
from clary.toolkit.kernels import records

SDK_RECORD = bytes.fromhex("0a230ad7ced12000")
"""First bytes of a frame: magic 0xced7230a, then the length."""

matrices = arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(-9, 9, width=32)
)


@given(features=matrices, has_labels=st.booleans())
def test_dense_rows_read_back_as_written(features, has_labels):
    labels = np.arange(len(features), dtype=np.float32) if has_labels else None
    table = recordio_protobuf.decode(recordio_protobuf.write(features, labels))
    np.testing.assert_array_equal(table.features, features)
    assert (table.labels is None) == (not has_labels)
    if has_labels:
        np.testing.assert_array_equal(table.labels, labels)


@given(features=matrices)
def test_sparse_rows_read_back_as_written(features):
    rows = sparse.csr_matrix(features)
    table = recordio_protobuf.decode(recordio_protobuf.write(rows, np.ones(len(features))))
    np.testing.assert_array_equal(table.features.toarray(), features)


def test_a_record_of_the_sdk_is_read():
    """Bytes as the SageMaker SDK's write_numpy_to_dense_tensor makes them of [[1, 2]] with label 3."""
    values = struct.pack("<2f", 1, 2)
    tensor = b"\x0a\x08" + values
    feature = b"\x0a\x06values" + b"\x12" + bytes([len(tensor) + 2]) + b"\x12" + bytes([len(tensor)]) + tensor
    label_tensor = b"\x0a\x04" + struct.pack("<f", 3)
    label = b"\x0a\x06values\x12\x08\x12\x06" + label_tensor
    record = b"\x0a" + bytes([len(feature)]) + feature + b"\x12" + bytes([len(label)]) + label
    table = recordio_protobuf.decode(recordio.wrap(record) * 3)
    assert table.features.tolist() == [[1, 2]] * 3
    assert np.asarray(table.labels).tolist() == [3] * 3


def test_unpacked_and_double_values_are_read():
    unpacked = b"\x0d" + struct.pack("<f", 1) + b"\x0d" + struct.pack("<f", 2)
    doubles = b"\x0a\x10" + struct.pack("<2d", 1, 2)
    for field, tensor in ((b"\x12", unpacked), (b"\x1a", doubles)):
        value = field + bytes([len(tensor)]) + tensor
        pair = b"\x0a\x06values\x12" + bytes([len(value)]) + value
        body = recordio.wrap(b"\x0a" + bytes([len(pair)]) + pair)
        assert recordio_protobuf.decode(body * 2).features.tolist() == [[1, 2]] * 2


def test_records_of_different_shape_fall_back_to_one_by_one():
    body = recordio_protobuf.write(np.ones((1, 2), np.float32), np.zeros(1)) + recordio_protobuf.write(
        sparse.csr_matrix([[0, 5]], dtype=np.float32), np.ones(1)
    )
    table = recordio_protobuf.decode(body)
    assert table.features.toarray().tolist() == [[1, 1], [0, 5]]
    assert np.asarray(table.labels).tolist() == [0, 1]


def test_answers_stand_in_the_label_map():
    body = recordio_protobuf.encode([{"score": 0.5}, {"score": [0.25, 0.75]}])
    found = [record.label["score"].values.tolist() for record in recordio_protobuf.decode_records(body)]
    assert found == [[0.5], [0.25, 0.75]]


@pytest.mark.parametrize(
    "body", [b"1,2,3", SDK_RECORD, recordio.wrap(b"\xff\xff"), recordio.wrap(b""), recordio.wrap(b"\x0a\x7f")]
)
def test_other_bytes_are_refused(body):
    with pytest.raises(FormatError):
        recordio_protobuf.decode(body)


@given(body=st.binary(max_size=60))
def test_no_bytes_do_worse_than_be_refused(body):
    for each in (body, recordio.wrap(body), recordio.wrap(body) * 2):
        try:
            recordio_protobuf.decode(each)
        except FormatError:
            continue


@pytest.mark.parametrize("way", ["loops", "steps", "singly"])
def test_sparse_records_are_the_same_whichever_way_they_are_read(way, monkeypatch):
    """By compiled loops, step by step for all, or one by one; keys of one, two and three bytes."""
    rest = sparse.random(300, 40_000, 0.001, dtype=np.float32, random_state=3)
    rows = sparse.hstack([np.ones((300, 1), np.float32), rest], format="csr")
    body = recordio_protobuf.write(rows, np.arange(300))
    monkeypatch.setattr(records, "is_loaded", lambda: way == "loops")
    monkeypatch.setattr(recordio_protobuf, "MANY_BYTES", 1 << 40 if way == "singly" else 0)
    if way == "steps":
        monkeypatch.setattr(recordio_protobuf, "_gathered", None)
    table = recordio_protobuf.decode(body)
    assert (table.features != rows).nnz == 0
    assert table.labels is not None
    assert table.labels.tolist() == list(range(300))
    last = len(recordio_protobuf.write(rows[-1], np.arange(299, 300)))
    assert recordio_protobuf.whole_frames(body[:-1]) == len(body) - last
