"""Images in RecordIO frames."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.toolkit import recordio
from clary.toolkit.image_records import ImageRecord, is_image, labels_of, unwrap, wrap

labels = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=12).map(tuple)


@given(labels, st.binary(max_size=40), st.integers(0, 2**64 - 1))
def test_an_image_record_is_read_as_written(numbers: tuple[float, ...], image: bytes, name: int) -> None:
    record = ImageRecord(numbers, image, name)
    assert unwrap(wrap(record)) == record
    assert labels_of(wrap(record))[0] == numbers


def test_a_header_is_the_one_of_im2rec() -> None:
    assert wrap(ImageRecord((3.0,), b"J", 7)) == struct.pack("<IfQQ", 0, 3.0, 7, 0) + b"J"
    assert wrap(ImageRecord((1.0, 2.0), b"J")) == struct.pack("<IfQQ2f", 2, 0.0, 0, 0, 1.0, 2.0) + b"J"


@pytest.mark.parametrize("payload", [b"short", struct.pack("<IfQQ", 9, 0.0, 0, 0) + b"1234"])
def test_a_record_that_is_too_short_says_so(payload: bytes) -> None:
    with pytest.raises(recordio.RecordIOError, match="image record"):
        unwrap(payload)


def test_a_jpeg_and_a_png_are_images() -> None:
    assert is_image(b"\xff\xd8\xff\xe0")
    assert is_image(b"\x89PNG\r\n\x1a\nmore")
    assert not is_image(b"1")


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_spans_are_where_the_payloads_lie(payloads: list[bytes]) -> None:
    body = b"".join(map(recordio.wrap, payloads))
    found = list(recordio.spans(io.BytesIO(body)))
    assert [recordio.joined(body[at : at + size] for at, size in each) for each in found] == payloads


def test_the_spans_of_a_split_record_are_its_parts() -> None:
    def part(kind: int, payload: bytes) -> bytes:
        padding = b"\0" * (-len(payload) % 4)
        return struct.pack("<II", recordio.MAGIC, kind << 29 | len(payload)) + payload + padding

    body = part(1, b"abcd") + part(2, b"ef") + part(3, b"g") + recordio.wrap(b"whole")
    first, second = recordio.spans(io.BytesIO(body))
    whole = next(recordio.records(io.BytesIO(body)))
    assert recordio.joined(body[at : at + size] for at, size in first) == whole
    assert [body[at : at + size] for at, size in second] == [b"whole"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"no frame", "no RecordIO frame at byte 0"),
        (recordio.wrap(b"abcdefgh")[:-4], "ends after 4 of 8"),
        (recordio.wrap(b"") + b"\x0a", "ends after"),
        (struct.pack("<II", recordio.MAGIC, 3 << 29), "lacks a part"),
    ],
)
def test_a_file_that_is_no_recordio_says_where(body: bytes, told: str) -> None:
    with pytest.raises(recordio.RecordIOError, match=told):
        list(recordio.spans(io.BytesIO(body)))
