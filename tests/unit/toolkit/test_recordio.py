"""RecordIO: frames round-trip, and damage is said."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.toolkit import recordio


@given(st.lists(st.binary(max_size=50)))
def test_wrapped_payloads_come_out_again(payloads: list[bytes]) -> None:
    stream = io.BytesIO(b"".join(map(recordio.wrap, payloads)))
    assert list(recordio.records(stream)) == payloads


def test_a_frame_is_as_mxnet_writes_it() -> None:
    # the bytes that MXRecordIO of mxnet 1.9 writes for this payload
    assert recordio.wrap(b"abcde") == bytes.fromhex("0a23d7ce05000000") + b"abcde\0\0\0"


def test_a_stream_of_pieces_is_one_frame() -> None:
    assert b"".join(recordio.wrap_stream(5, iter([b"ab", b"cde"]))) == recordio.wrap(b"abcde")


def test_split_records_are_joined_by_their_magic() -> None:
    def part(number: int, body: bytes) -> bytes:
        return (0xCED7230A).to_bytes(4, "little") + (number << 29 | len(body)).to_bytes(4, "little") + body

    stream = io.BytesIO(part(1, b"aaaa") + part(2, b"bbbb") + part(3, b"cccc"))
    magic = (0xCED7230A).to_bytes(4, "little")
    assert list(recordio.records(stream)) == [magic.join([b"aaaa", b"bbbb", b"cccc"])]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"12345678", "no RecordIO frame at byte 0"),
        (recordio.wrap(b"abcd") + b"garbage!", "at byte 12"),
        (recordio.wrap(b"abcd")[:-1], "ends after"),
        (recordio.wrap(b"abcd")[:5], "ends after"),
    ],
)
def test_damage_names_its_place(body: bytes, says: str) -> None:
    with pytest.raises(recordio.RecordIOError, match=says):
        list(recordio.records(io.BytesIO(body)))


def test_a_payload_that_fits_no_frame_is_refused() -> None:
    with pytest.raises(recordio.RecordIOError, match="536870911"):
        recordio.head(1 << 29)
