import numpy as np
import pytest

from clary.toolkit.formats import parquet
from clary.toolkit.formats.base import FormatError

pyarrow = pytest.importorskip("pyarrow", reason="an extra")
from pyarrow import parquet as writer  # noqa: E402


def test_the_first_column_is_the_label_and_nulls_are_missing(tmp_path):
    path = tmp_path / "rows.parquet"
    writer.write_table(pyarrow.table({"y": [1, 0], "a": [1.5, None], "b": [3, 4]}), path)
    table = parquet.read([path])
    assert np.asarray(table.labels).tolist() == [1, 0]
    np.testing.assert_array_equal(table.features, np.array([[1.5, 3], [np.nan, 4]], np.float32))


def test_text_and_other_files_are_refused_by_name(tmp_path):
    path = tmp_path / "rows.parquet"
    writer.write_table(pyarrow.table({"y": [1], "name": ["x"]}), path)
    with pytest.raises(FormatError, match=r"rows\.parquet: column 'name' is string, not numeric"):
        parquet.read([path])
    path.write_bytes(b"1,2")
    with pytest.raises(FormatError, match=r"rows\.parquet is not a Parquet file"):
        parquet.read([path])
