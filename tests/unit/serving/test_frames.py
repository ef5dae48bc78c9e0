import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.serving.frames import MAX_FRAME_BYTES, Decoder, Frame, FrameError, pack

headers = st.dictionaries(
    st.text(max_size=12), st.one_of(st.text(max_size=30), st.integers(), st.booleans()), max_size=5
)
frames = st.builds(Frame, st.integers(0, 2**32 - 1), headers, st.binary(max_size=300))


@given(sent=st.lists(frames, max_size=8), cuts=st.lists(st.integers(1, 97), min_size=1, max_size=9))
def test_frames_arrive_whole_and_in_order_however_they_are_cut(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(pack(*each) for each in sent)
    decoder, turn = Decoder(), 0
    received: list[Frame] = []
    while stream:
        cut = cuts[turn % len(cuts)]
        received += decoder.feed(stream[:cut])
        stream, turn = stream[cut:], turn + 1
    assert received == sent


def test_the_layout_is_the_documented_one() -> None:
    assert pack(7, {"a": 1}, b"xy") == struct.pack("<IIH", 10 + 7 + 2, 7, 7) + b'{"a":1}' + b"xy"


def test_a_frame_without_a_body_is_complete() -> None:
    assert Decoder().feed(pack(1, {"ping": True})) == [Frame(1, {"ping": True}, b"")]


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack("<IIH", 9, 1, 0),
        struct.pack("<IIH", MAX_FRAME_BYTES + 1, 1, 0),
        struct.pack("<IIH", 12, 1, 40) + b"{}",
        struct.pack("<IIH", 13, 1, 3) + b"nay",
        struct.pack("<IIH", 12, 1, 2) + b"[]",
    ],
)
def test_what_is_not_a_frame_is_refused(stream: bytes) -> None:
    with pytest.raises(FrameError):
        Decoder().feed(stream)


def test_a_header_or_a_frame_too_long_is_refused_when_packed() -> None:
    with pytest.raises(FrameError, match="65535"):
        pack(1, {"a": "x" * 70_000})
    with pytest.raises(FrameError, match=str(MAX_FRAME_BYTES)):
        pack(1, {}, bytes(MAX_FRAME_BYTES))
