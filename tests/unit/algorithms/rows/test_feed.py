"""Training rows from files: blocks, several files, gzip, labels, and what is wrong with them."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from clary.algorithms import _feed, _hosts
from clary.algorithms._feed import Feed
from clary.algorithms.base import Source
from clary.kernel.errors import CustomerError
from clary.toolkit.formats import recordio_protobuf
from clary.toolkit.formats.base import Table

ALONE = _hosts.Hosts(0, (), 1)
ROWS = np.arange(60, dtype=np.float32).reshape(20, 3)
CSV = b"".join(b",".join(b"%d" % value for value in row) + b"\n" for row in ROWS)
HOLED = np.where(ROWS == 21, np.inf, ROWS)
LABELLED = b"".join(b"%d," % number + line for number, line in enumerate(CSV.splitlines(keepends=True)))


def no_label_below_0(table: Table) -> tuple[int, str] | None:
    wrong = np.flatnonzero(table.labels < 0) if table.labels is not None else np.zeros(0)
    return (int(wrong[0]), f"label {table.labels[wrong[0]]:g}; no") if wrong.size else None  # type: ignore[index]


@pytest.fixture
def feed(tmp_path: Any) -> Any:
    def make(*files: bytes, content_type: str = "", feature_dim: int = 3, has_labels: bool = False) -> Feed:
        (tmp_path / "train").mkdir()
        for number, content in enumerate(files):
            (tmp_path / "train" / f"part-{number}").write_bytes(content)
        source = Source(name="train", path=tmp_path / "train", content_type=content_type)
        return Feed(
            source, feature_dim=feature_dim, has_labels=has_labels, is_dense=True, flaw=no_label_below_0
        )

    return make


@pytest.mark.parametrize("block_bytes", [16, 100, 1 << 20])
@pytest.mark.parametrize(
    ("files", "content_type"),
    [
        ((CSV,), "text/csv;label_size=0"),
        ((LABELLED,), "text/csv"),
        ((CSV[:-1],), "text/csv; label_size=0"),
        ((gzip.compress(CSV),), "text/csv;label_size=0"),
        ((recordio_protobuf.write(ROWS),), ""),
        (
            (recordio_protobuf.write(ROWS[:7]), recordio_protobuf.write(ROWS[7:])),
            "application/x-recordio-protobuf",
        ),
        ((recordio_protobuf.write(sparse.csr_matrix(ROWS)),), ""),
        ((gzip.compress(recordio_protobuf.write(ROWS)),), ""),
    ],
)
def test_rows_are_the_same_whatever_they_lie_in(
    feed: Any, files: Any, content_type: str, block_bytes: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(_feed, "BLOCK_BYTES", block_bytes)
    found = feed(*files, content_type=content_type)
    for _ in range(2):  # the second pass reads memory
        np.testing.assert_array_equal(found.table().features, ROWS)
    assert found.require_rows() == 20


def test_labels_come_along_where_they_are_wanted(feed: Any) -> None:
    table = feed(LABELLED, content_type="text/csv", has_labels=True).table()
    assert table.labels.tolist() == list(range(20))


@pytest.mark.parametrize(
    ("content", "content_type", "has_labels", "text"),
    [
        (
            CSV,
            "text/csv",
            False,
            "has 2 features a row, and hyperparameter feature_dim is 3; CSV without labels",
        ),
        (CSV.replace(b"30", b"x"), "text/csv;label_size=0", False, "train/part-0, line 11: column 1 is 'x'"),
        (CSV.replace(b"30", b""), "text/csv;label_size=0", False, "part-0, line 11: a missing or infinite"),
        (
            b"\n" + CSV.replace(b"31", b"inf"),
            "text/csv;label_size=0",
            False,
            "line 12: a missing or infinite",
        ),
        (LABELLED.replace(b"10,30", b"nan,30"), "text/csv", True, "train/part-0, line 11: label nan"),
        (LABELLED.replace(b"10,30", b"-10,30"), "text/csv", True, "train/part-0, line 11: label -10; no"),
        (recordio_protobuf.write(HOLED), "", False, "train/part-0, record 7: a missing or infinite value"),
        (
            recordio_protobuf.write(sparse.csr_matrix(HOLED)),
            "",
            False,
            "train/part-0, record 7: a missing or infinite value",
        ),
        (b"1,2,3\n4,5\n", "text/csv;label_size=0", False, "train/part-0, line 2"),
        (CSV, "text/csv;label_size=0", True, "write text/csv;label_size=1"),
        (CSV, "text/csv;label_size=2", True, "label_size"),
        (CSV, "", False, "no ContentType, so it is read as recordio-protobuf"),
        (CSV, "image/png", False, "image/png is not an accepted ContentType"),
        (recordio_protobuf.write(ROWS), "", True, "without a label"),
        (recordio_protobuf.write(ROWS)[:-9], "", False, "train/part-0"),
        (gzip.compress(CSV)[:-9], "text/csv;label_size=0", False, "broken gzip"),
    ],
)
@pytest.mark.parametrize("block_bytes", [16, 100, 1 << 20])
def test_what_is_wrong_with_a_channel_is_said_with_its_place(
    feed: Any,
    content: bytes,
    content_type: str,
    has_labels: bool,
    text: str,
    block_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_feed, "BLOCK_BYTES", block_bytes)
    with pytest.raises(CustomerError, match="train") as refused:
        feed(content, content_type=content_type, has_labels=has_labels).table()
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (gzip.compress(CSV) + CSV, "train_0 begins as gzip and goes on as something else: in Pipe mode"),
        (CSV + gzip.compress(CSV), "it has gzip behind what is none: in Pipe mode"),
        (gzip.compress(CSV)[:-9], "train_0 is broken gzip"),
        (gzip.compress(CSV, mtime=0)[:10] + b"\xff" * 50, "train_0 is broken gzip"),
        (CSV + b"a,b,c\n", "line 21"),
    ],
)
@pytest.mark.parametrize("block_bytes", [100, 1 << 20])
def test_a_pipe_that_mixes_gzip_and_plain_files_says_so(
    content: bytes, text: str, block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_feed, "BLOCK_BYTES", block_bytes)
    (tmp_path / "train_0").write_bytes(content)
    source = Source(name="train", path=tmp_path / "train", content_type="text/csv;label_size=0", mode="Pipe")
    with pytest.raises(CustomerError, match=f"'train': .*{text}") as refused:
        Feed(source, feature_dim=3, has_labels=False, is_dense=True).table()
    assert ("Pipe mode" in text) is ("all its objects have to be gzip, or none" in str(refused.value))


def test_an_empty_channel_has_no_rows(feed: Any) -> None:
    found = feed()
    assert list(found.blocks()) == []
    with pytest.raises(CustomerError, match="No data in channel train"):
        found.require_rows()


@pytest.mark.parametrize("is_sparse", [False, True])
def test_the_width_of_the_first_rows_counts_where_none_is_said(feed: Any, is_sparse: bool) -> None:
    rows = sparse.csr_matrix(ROWS) if is_sparse else ROWS
    made = feed(recordio_protobuf.write(rows, None), feature_dim=0)
    assert made.widen(ALONE) == 3
    for _ in range(2):
        np.testing.assert_array_equal(made.table().features, ROWS)
    assert made.n_rows == len(ROWS)


def test_rows_after_the_first_are_as_wide_where_none_is_said(feed: Any) -> None:
    made = feed(CSV, b"1,2\n", content_type="text/csv;label_size=0", feature_dim=0)
    made.widen(ALONE)
    with pytest.raises(
        CustomerError, match="part-1 has 2 features a row, and hyperparameter feature_dim is 3"
    ):
        made.table()


def test_no_rows_have_no_width(feed: Any) -> None:
    with pytest.raises(CustomerError, match="No data in channel train"):
        feed(b"", feature_dim=0).widen(ALONE)
