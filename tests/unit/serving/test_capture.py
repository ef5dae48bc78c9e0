"""What captured invocations are as spools and as lines."""

import json

from clary.serving.capture import Captured, Home, grouped, key_of, line, read

HOME = ("1", "s3://b/p/", "e", "v")


def captured(**members):
    given = {"home": HOME, "ms": 1_767_225_600_123, "event_id": "id", "modes": ("Input", "Output"), **members}
    return Captured(**given)


def test_a_spool_gives_back_what_was_put_into_it_but_for_a_torn_end():
    one = captured(n_asked=2)
    spool = one.packed(b"ab", b"cde") + one.packed(b"xy", b"")
    assert [(question, answer) for _one, question, answer in read(spool)] == [(b"ab", b"cde"), (b"xy", b"")]
    assert [question for _one, question, _answer in read(spool[:-1])] == [b"ab"]
    assert list(read(b"\x01\x00\x00\x00garbage")) == []


def test_text_that_is_no_text_is_kept_as_bytes():
    one = captured(csv=("text/csv",), asked_type="text/csv; charset=utf-8", answered_type="text/csv")
    data = json.loads(line(one, b"1,2", b"\xff"))["captureData"]
    assert (data["endpointInput"]["encoding"], data["endpointInput"]["data"]) == ("CSV", "1,2")
    assert (data["endpointOutput"]["encoding"], data["endpointOutput"]["data"]) == ("BASE64", "/w==")


def test_objects_lie_by_variant_and_hour():
    assert key_of(Home(*HOME), 1_767_225_600_123, "n") == "s3://b/p/e/v/2026/01/01/00/00-00-123-n.jsonl"
    late = captured(ms=1_767_229_200_000, n_asked=0)
    groups = grouped([(captured(), b"", b""), (late, b"", b"")])
    assert sorted(hour for _home, hour in groups) == [490_896, 490_897]
