"""Outputs appear whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from clary.testing.s3 import memory_s3
from clary.toolkit.objects import Objects
from clary.toolkit.transform import output
from clary.toolkit.transform.output import Output


@pytest.fixture
def s3():
    with memory_s3("b") as server:
        yield server


@pytest.fixture
def made(s3, monkeypatch):
    monkeypatch.setattr(output, "PART_BYTES", 10)
    objects = Objects(**s3.where)
    with ThreadPoolExecutor(2) as pool:
        yield Output(objects, "s3://b/x.out", pool, {"mark": "m"})


def test_a_short_one_is_put_at_once(made, s3):
    made.write(b"abc")
    assert s3.keys("s3://b/") == []
    made.publish()
    assert s3.get("s3://b/x.out") == b"abc"


def test_a_long_one_goes_up_in_parts_and_appears_at_the_end(made, s3):
    for n in range(20):
        made.write(b"%07d" % n)
    assert s3.keys("s3://b/") == []
    assert len(s3.uploads) == 1
    made.publish()
    assert s3.get("s3://b/x.out") == b"".join(b"%07d" % n for n in range(20))
    assert s3.uploads == {}


def test_what_is_called_off_leaves_nothing(made, s3):
    for n in range(20):
        made.write(b"%07d" % n)
    made.abort()
    assert s3.keys("s3://b/") == []
    assert s3.uploads == {}


def test_an_empty_one_is_an_object_too(made, s3):
    made.publish()
    assert s3.get("s3://b/x.out") == b""


def test_uploads_of_an_earlier_attempt_are_found_by_key_and_time():
    class Store(Objects):
        dropped: ClassVar[list[str]] = []

        def __init__(self):
            pass

        def ask(self, verb, uri, call) -> Any:
            when = datetime(2026, 1, 2, tzinfo=UTC)
            early = datetime(2026, 1, 1, tzinfo=UTC)
            found = [("x.out", "ours", when), ("x.out", "old", early), ("x.out2", "other", when)]
            return {"Uploads": [{"Key": k, "UploadId": u, "Initiated": t} for k, u, t in found]}

        def ask_once(self, call):
            class S3:
                def abort_multipart_upload(self, **given):
                    Store.dropped.append(given["UploadId"])

            call(S3())

    since = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert output.drop_stale_uploads(Store(), "s3://b/x.out", since) == 1
    assert Store.dropped == ["ours"]
