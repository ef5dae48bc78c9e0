"""What an object looks like from its first bytes."""

import json

import numpy as np
import pytest

from clary.console import previews
from clary.toolkit import image_records, recordio
from clary.toolkit.formats import recordio_protobuf
from clary.toolkit.image_records import ImageRecord


def test_records_of_numbers_are_rows_and_a_cut_one_is_left_out():
    content = recordio_protobuf.write(np.arange(60, dtype=np.float32).reshape(3, 20), np.array([0.0, 1, 0]))
    found = previews.of("train.rec", content[:-10], is_whole=False)
    assert found.header == ("Label", "Record")
    assert [label for label, _ in found.rows] == ["0", "1"]
    assert found.rows[0][1] == "0 1 2 3 4 5 6 7 8 9 10 11 … 8 more"


def test_packed_images_are_told_by_label_and_size():
    packed = image_records.wrap(ImageRecord((3.0,), b"\xff\xd8\xff" + bytes(97)))
    found = previews.of("images.rec", recordio.wrap(packed), is_whole=True)
    assert found.rows == [("3", "an image of 100 bytes")]


def test_a_file_that_only_begins_as_recordio_says_so():
    content = recordio.wrap(b"x" * 50)[:20]
    assert (
        "end" in previews.of("data", content, is_whole=True).note
        or "early" in previews.of("data", content, is_whole=True).note
    )


@pytest.mark.parametrize("source", ["print(1)", ["print(", "1)"]])
def test_a_notebook_is_its_cells_and_what_they_printed(source):
    output = {"output_type": "stream", "text": ["1\n"]}
    shown = {"output_type": "display_data", "data": {"text/html": "<b>x</b>", "text/plain": "plain"}}
    cell = {"cell_type": "code", "source": source, "outputs": [output, shown]}
    found = previews.of("n.ipynb", json.dumps({"cells": [cell]}).encode(), is_whole=True)
    assert found.text == "── code\nprint(1)\n=> 1\n\n=> plain"


def test_a_notebook_that_is_none_is_text():
    assert previews.of("n.ipynb", b'{"a": 1}', is_whole=True).text == '{"a": 1}'
    assert "does not read" in previews.of("n.ipynb", b"{", is_whole=True).note
