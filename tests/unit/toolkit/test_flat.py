"""Files of flat models: what is written is read, and nothing else is."""

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.toolkit import flat
from clary.toolkit.flat import Flat, FlatError, Form

MODEL = Flat(
    kind="forest",
    n_features=3,
    arrays={"a": np.arange(6, dtype=np.int32).reshape(3, 2), "b": np.array([0.5], np.float32)},
    numbers={"link": "sigmoid", "n": 2},
    requests=("text/csv",),
    forms={
        "": Form(content_type="text/csv", pieces=("", ""), end="\n"),
        "x": Form(content_type="x", pieces=()),
    },
)


def bytes_of(model: Flat, folder: Path) -> bytes:
    flat.write(model, folder / "m.flat")
    return (folder / "m.flat").read_bytes()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    flat.write(MODEL, tmp_path / "m.flat")
    found = flat.read(tmp_path / "m.flat")
    assert (found.kind, found.n_features, found.numbers, found.requests, found.forms) == (
        MODEL.kind, MODEL.n_features, MODEL.numbers, MODEL.requests, MODEL.forms,
    )  # fmt: skip
    for name, array in MODEL.arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert np.array_equal(found.arrays[name], array)
    assert os.listdir(tmp_path) == ["m.flat"]


@settings(deadline=None)
@given(data=st.data())
def test_a_file_with_other_bytes_is_read_or_refused(tmp_path_factory: Any, data: st.DataObject) -> None:
    whole = bytearray(bytes_of(MODEL, tmp_path_factory.getbasetemp()))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FlatError):
        flat.parse(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(FlatError):
        flat.parse(content)
    with pytest.raises(FlatError):
        flat.parse(flat.MAGIC + content)


def test_an_array_that_is_not_there_is_refused(tmp_path: Path) -> None:
    whole = bytes_of(MODEL, tmp_path)
    for old, new in (
        (b'"shape": [3, 2]', b'"shape": [9, 99]'),
        (b'"at": 64', b'"at": 60'),
        (b"int32", b"object"),
    ):
        changed = whole.replace(old, new.ljust(len(old)) if len(new) < len(old) else new)
        with pytest.raises(FlatError):
            flat.parse(changed)


def test_only_plain_files_of_a_sensible_size_are_read(tmp_path: Path) -> None:
    bytes_of(MODEL, tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "m.flat")
    with pytest.raises(FlatError, match="plain"):
        flat.read(tmp_path / "fifo")
    with pytest.raises(OSError, match="link"):
        flat.read(tmp_path / "link")
    with pytest.raises(FlatError, match="bytes"):
        flat.read(tmp_path / "m.flat", most_bytes=100)


def test_a_content_type_cannot_end_its_line(tmp_path: Path) -> None:
    evil = Flat(
        kind="forest", n_features=1, arrays={}, requests=(),
        forms={"": Form(content_type="a\r\nb: c", pieces=("", ""))},
    )  # fmt: skip
    with pytest.raises(FlatError, match="content type"):
        flat.parse(bytes_of(evil, tmp_path))
