"""One record of several tensors."""

import numpy as np

from clary.toolkit.formats import recordio_protobuf


def test_a_record_of_tensors_is_read_as_it_was_written() -> None:
    given = {"target": np.array([[0.25, 0.5]], np.float32), "shape": np.array([1, 300, 70000, -1], np.int32)}
    [record] = recordio_protobuf.decode_records(recordio_protobuf.encode_tensors(given))
    assert {name: tensor.values.tolist() for name, tensor in record.features.items()} == {
        "target": [0.25, 0.5],
        "shape": [1, 300, 70000, -1],
    }
    assert record.features["shape"].values.dtype == np.int32
    assert not record.label
