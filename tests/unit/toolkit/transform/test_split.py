"""Objects into payloads."""

import itertools
from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.toolkit import recordio
from clary.toolkit.transform import split
from clary.toolkit.transform.split import LINE, MULTI, NONE, RECORDIO, SINGLE, TFRECORD, SplitError, payloads

texts = st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"x")), max_size=12)


def tfrecord(payload):
    return Struct("<QI").pack(len(payload), 1) + payload + b"crc!"


def cut(body, sizes):
    """Return the body in pieces of the given sizes, over and over."""
    pieces, at, n = [], 0, 0
    while at < len(body):
        size = sizes[n % len(sizes)]
        pieces.append(body[at : at + size])
        at, n = at + size, n + 1
    return pieces


sizes = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@given(lines=texts, sizes=sizes, limit=st.integers(14, 40), ends=st.booleans())
def test_stretches_of_lines_are_the_object_each_as_long_as_can_be(lines, sizes, limit, ends):
    body = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    found = list(payloads(cut(body, sizes), split=LINE, limit_bytes=limit))
    assert b"".join(found) == body
    assert all(len(each) <= limit for each in found)
    assert all(each.endswith(b"\n") for each in found[:-1])
    for one, after in itertools.pairwise(found):
        first = after.partition(b"\n")[0] + b"\n"
        assert len(one) + len(first) > limit or len(one) + len(after) > limit


@given(lines=texts, sizes=sizes, ends=st.booleans())
def test_single_lines_are_all_that_hold_anything(lines, sizes, ends):
    body = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    found = list(payloads(cut(body, sizes), split=LINE, strategy=SINGLE, limit_bytes=64))
    assert [each.removesuffix(b"\n") for each in found] == [
        each for each in body.split(b"\n") if each.strip()
    ]


@pytest.mark.documented
@pytest.mark.parametrize(
    ("kind", "framed"), [(RECORDIO, recordio.wrap), (TFRECORD, tfrecord)], ids=["RecordIO", "TFRecord"]
)
@given(records=st.lists(st.binary(max_size=30), max_size=10), sizes=sizes)
def test_frames_stay_on_several_records_and_go_from_single_ones(kind, framed, records, sizes):
    body = b"".join(map(framed, records))
    single = list(payloads(cut(body, sizes), split=kind, strategy=SINGLE, limit_bytes=100))
    assert single == records
    several = list(payloads(cut(body, sizes), split=kind, strategy=MULTI, limit_bytes=100))
    assert b"".join(several) == body
    assert all(len(each) <= 100 for each in several)


def test_a_split_recordio_record_is_one_record():
    head = Struct("<II")
    parts = b"".join(
        head.pack(recordio.MAGIC, part << 29 | 4) + text
        for part, text in ((1, b"abcd"), (2, b"efgh"), (3, b"ijkl"))
    )
    joint = recordio.MAGIC.to_bytes(4, "little")
    found = list(payloads([parts + recordio.wrap(b"next")], split=RECORDIO, strategy=SINGLE))
    assert found == [joint.join([b"abcd", b"efgh", b"ijkl"]), b"next"]


@pytest.mark.documented
@pytest.mark.parametrize(
    ("kind", "strategy"), [(NONE, MULTI), (LINE, MULTI), (LINE, SINGLE), (TFRECORD, SINGLE)]
)
def test_a_record_longer_than_the_limit_is_refused(kind, strategy):
    body = tfrecord(b"x" * 50) if kind == TFRECORD else b"x" * 50 + b"\n"
    with pytest.raises(SplitError, match=r"Record is larger than .*MB. Please increase your max_payload"):
        list(payloads([body], split=kind, strategy=strategy, limit_bytes=40))


def test_without_a_limit_all_is_one_payload():
    assert list(payloads([b"a\n", b"b\n"], split=LINE, limit_bytes=0)) == [b"a\nb\n"]
    assert list(payloads([b"a\n", b"b\n"], split=NONE, limit_bytes=0)) == [b"a\nb\n"]


def test_an_empty_object_has_no_payload():
    for kind in (NONE, LINE, RECORDIO, TFRECORD):
        assert list(payloads([], split=kind)) == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [(RECORDIO, b"not recordio"), (TFRECORD, b"not a tfrecord file"), (RECORDIO, recordio.wrap(b"abc")[:-2])],
)
def test_what_is_not_of_the_format_says_so(kind, body):
    with pytest.raises(SplitError, match=r"not RecordIO|not TFRecord|in the middle"):
        list(payloads([body], split=kind))
    assert split.STRATEGIES[SINGLE] == "SINGLE_RECORD"
