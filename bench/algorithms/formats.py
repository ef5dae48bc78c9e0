"""Reading and writing: recordio-protobuf and CSV, bytes a second of one core."""

import io

import numpy as np
from bench._bars import Report
from bench.algorithms._trainings import clock
from pyarrow import csv as arrow
from pyarrow import float32
from scipy import sparse

from clary.toolkit.formats import csv, recordio_protobuf


def run(report: Report) -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(50_000, 100)).astype(np.float32)
    labels = np.arange(len(rows), dtype=np.float32)
    body, written = clock(lambda: recordio_protobuf.write(rows, labels), 5)
    _, read = clock(lambda: recordio_protobuf.decode(body), 9)
    thin = sparse.random(100_000, 10_000, 0.005, format="csr", dtype=np.float32, random_state=0)
    thin_body = recordio_protobuf.write(thin, np.ones(thin.shape[0]))
    _, thin_read = clock(lambda: recordio_protobuf.decode(thin_body), 5)

    stream = io.StringIO()
    np.savetxt(stream, rows[:, :30], "%.6f", ",")
    text = stream.getvalue().encode()
    _, ours = clock(lambda: csv.parse(text, ",", "rows"), 5)
    _, theirs = clock(lambda: _arrow(text), 5)

    def speed(content: bytes, seconds: float) -> float:
        return len(content) / seconds / 1e6

    report.table(
        "Formats, MB/s of one core",
        ("", "ours", "pyarrow"),
        [
            ("recordio-protobuf, dense, read", speed(body, read), ""),
            ("recordio-protobuf, dense, written", speed(body, written), ""),
            ("recordio-protobuf, sparse, read", speed(thin_body, thin_read), ""),
            ("CSV to float32", speed(text, ours), speed(text, theirs)),
        ],
    )
    report.bar("dense recordio, read: share of 2 GB/s needed", 2000 / speed(body, read), 1, "x")
    report.bar("dense recordio, written: share of 1 GB/s needed", 1000 / speed(body, written), 1, "x")
    report.bar("sparse recordio, read: share of 500 MB/s needed", 500 / speed(thin_body, thin_read), 1, "x")
    report.bar("CSV to float32: time, of pyarrow's", ours / theirs, 1, "x")


def _arrow(text: bytes) -> np.ndarray:
    """Read CSV to a float32 matrix by pyarrow, at its best settings for one core."""
    table = arrow.read_csv(
        io.BytesIO(text),
        read_options=arrow.ReadOptions(autogenerate_column_names=True, use_threads=False),
        convert_options=arrow.ConvertOptions(column_types={f"f{n}": float32() for n in range(30)}),
    )
    return np.column_stack([column.to_numpy() for column in table.columns])
