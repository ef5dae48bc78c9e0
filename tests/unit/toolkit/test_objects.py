"""Objects: read and written whole, through restarts and broken connections; faults in the service's words."""

import io
import os
import threading
import time
from pathlib import Path

import pytest

from clary.kernel.errors import CustomerError
from clary.testing.s3 import MemoryS3, answers, breaks_after
from clary.toolkit import objects as module
from clary.toolkit import s3 as clients
from clary.toolkit.object_faults import CancelledError, ObjectsUnavailableError
from clary.toolkit.objects import Entry, Objects, split_uri


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 1000)
    monkeypatch.setattr(module, "LARGE_BYTES", 2000)


@pytest.mark.parametrize(
    ("uri", "parts"), [("s3://b", ("b", "")), ("s3://b/", ("b", "")), ("s3://b/a/c", ("b", "a/c"))]
)
def test_a_uri_is_bucket_and_key(uri: str, parts: tuple[str, str]) -> None:
    assert split_uri(uri) == parts


@pytest.mark.parametrize("uri", ["", "b/key", "https://b/key", "s3:///key"])
def test_what_is_no_uri_is_named(uri: str) -> None:
    with pytest.raises(CustomerError, match="is not an S3 URI"):
        split_uri(uri)


def test_every_page_of_a_listing_is_read(s3: MemoryS3, objects: Objects) -> None:
    s3.page = 3
    for n in range(8):
        s3.put(f"s3://b/p/{n} &.csv", b"x" * n)
    s3.put("s3://b/q", b"")
    found = list(objects.list("s3://b/p/"))
    assert [(each.key, each.size) for each in found] == [(f"p/{n} &.csv", n) for n in range(8)]
    assert found[0].uri == "s3://b/p/0 &.csv"


def test_what_is_put_is_read(s3: MemoryS3, objects: Objects) -> None:
    objects.put("s3://b/k", b"body")
    assert objects.read("s3://b/k") == b"body"
    assert objects.head("s3://b/k").size == 4  # type: ignore[union-attr]
    assert objects.head("s3://b/none") is None
    objects.delete(["s3://b/k", "s3://b/none"])
    assert s3.keys("s3://b/") == []


def test_an_object_longer_than_allowed_is_refused(s3: MemoryS3, objects: Objects) -> None:
    s3.put("s3://b/k", b"x" * 100)
    with pytest.raises(CustomerError, match="longer than the 99 bytes"):
        objects.read("s3://b/k", limit_bytes=99)


def test_many_files_are_fetched_below_their_folders(s3: MemoryS3, objects: Objects, tmp_path: Path) -> None:
    for n in range(20):
        s3.put(f"s3://b/d{n % 3}/{n}", str(n).encode())
    wanted = [(entry, tmp_path / entry.key) for entry in objects.list("s3://b/")]
    assert objects.fetch(wanted) == sum(len(str(n)) for n in range(20))
    assert (tmp_path / "d1/19").read_text() == "19"


@pytest.mark.usefixtures("small_parts")
def test_a_large_object_travels_in_parts(s3: MemoryS3, objects: Objects, tmp_path: Path) -> None:
    body = os.urandom(7777)
    (tmp_path / "up").write_bytes(body)
    assert objects.upload("s3://b/large", tmp_path / "up") == 7777
    assert s3.get("s3://b/large") == body
    assert sum(method == "PUT" for method, _ in s3.requests) == 8
    s3.requests.clear()
    objects.fetch([(Entry("b", "large", 7777), tmp_path / "down")])
    assert (tmp_path / "down").read_bytes() == body
    assert len(s3.requests) == 8


@pytest.mark.usefixtures("small_parts")
def test_a_failed_upload_leaves_nothing(s3: MemoryS3, objects: Objects) -> None:
    file = io.FileIO(os.memfd_create("body"), "r+") if hasattr(os, "memfd_create") else None
    if file is None:
        pytest.skip("no memfd_create here")
    file.write(b"x" * 5000)
    s3.faults += [lambda _: False, answers(400, "InvalidPart")]
    with file, pytest.raises(CustomerError, match="InvalidPart"):
        objects.upload("s3://b/large", file)
    assert s3.uploads == {}
    assert s3.keys("s3://b/") == []


def test_file_and_folder_of_one_name_are_a_clash(s3: MemoryS3, objects: Objects, tmp_path: Path) -> None:
    s3.put("s3://b/a", b"file")
    s3.put("s3://b/a/b", b"below")
    wanted = [(entry, tmp_path / entry.key) for entry in objects.list("s3://b/")]
    with pytest.raises(CustomerError, match="previously downloaded file/folder clashes"):
        objects.fetch(wanted)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s3://b/none", r"Data download failed:NoSuchKey \(404\).*s3://b/none"),
        ("s3://nobucket/k", r"NoSuchBucket \(404\).*s3://nobucket/k.*selected region \(us-east-1\)"),
        ("s3://secret/k", r"AccessDenied \(403\).*s3://secret/k"),
        ("s3://B_A_D!/k", r"B_A_D!"),
    ],
)
def test_what_cannot_be_read_is_named(s3: MemoryS3, objects: Objects, uri: str, says: str) -> None:
    s3.denied.add("secret")
    with pytest.raises(CustomerError, match=says):
        objects.read(uri)


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"])
def test_refused_credentials_are_not_the_customers_fault(s3: MemoryS3, objects: Objects, code: str) -> None:
    s3.faults.append(answers(403, code))
    with pytest.raises(ObjectsUnavailableError, match=code):
        objects.read("s3://b/k")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_store_in_trouble_is_asked_again(s3: MemoryS3, objects: Objects, status: int) -> None:
    s3.put("s3://b/k", b"body")
    s3.faults += [answers(status), answers(status)]
    assert objects.read("s3://b/k") == b"body"
    assert len(s3.requests) == 3


def test_a_broken_body_is_taken_up_where_it_broke(s3: MemoryS3, objects: Objects) -> None:
    body = os.urandom(50_000)
    s3.put("s3://b/k", body)
    s3.faults += [breaks_after(20_000), breaks_after(10_000)]
    assert objects.read("s3://b/k") == body
    assert len(s3.requests) == 3


def test_an_object_replaced_while_it_is_read_is_noticed(s3: MemoryS3, objects: Objects) -> None:
    s3.put("s3://b/k", b"a" * 50_000)

    def replace(request: object) -> bool:
        s3.put("s3://b/k", b"b" * 50_000)
        return False

    s3.faults += [breaks_after(20_000), replace]
    with pytest.raises(CustomerError, match="replaced while it was read"):
        objects.read("s3://b/k")


def test_a_restart_of_the_store_is_waited_out() -> None:
    first = MemoryS3("b")
    store = Objects(**first.where, patience_s=20.0)
    first.close()
    again: list[MemoryS3] = []

    def restart() -> None:
        again.append(MemoryS3("b", port=first.port))
        again[0].put("s3://b/k", b"back")

    timer = threading.Timer(0.3, restart)
    timer.start()
    try:
        assert store.read("s3://b/k") == b"back"
    finally:
        timer.join()
        again[0].close()


def test_patience_ends() -> None:
    server = MemoryS3("b")
    store = Objects(**server.where, patience_s=0.2)
    server.close()
    with pytest.raises(ObjectsUnavailableError, match=r"could not download s3://b/k"):
        store.read("s3://b/k")


def test_patience_outlasts_a_restart_by_default(s3: MemoryS3) -> None:
    assert Objects(**s3.where).patience_s >= 60


def test_a_transfer_is_called_off_at_once() -> None:
    server = MemoryS3("b")
    store = Objects(**server.where)
    server.close()
    timer = threading.Timer(0.1, store.cancel.set)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        store.read("s3://b/k")
    assert time.monotonic() - begun < 5
    timer.join()


def test_a_sibling_is_called_off_alone(s3: MemoryS3, objects: Objects) -> None:
    s3.put("s3://b/k", b"body")
    sibling = objects.sibling()
    sibling.cancel.set()
    with pytest.raises(CancelledError):
        sibling.read("s3://b/k")
    assert objects.read("s3://b/k") == b"body"


def test_a_client_built_ahead_goes_where_it_is_told(s3: MemoryS3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("s3://b/k", b"body")
    clients.warm()
    with monkeypatch.context() as patch:
        patch.setattr(clients, "Client", None)  # none is built any more
        store = Objects(**{**s3.where, "region": "eu-west-1"}, session_token="token")
    assert store.read("s3://b/k") == b"body"
    scope = "AKIATEST/"
    headers = s3.headers[-1]
    assert f"Credential={scope}" in headers["Authorization"]
    assert "/eu-west-1/s3/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "token"
    assert Objects(**s3.where).read("s3://b/k") == b"body"
    assert "X-Amz-Security-Token" not in s3.headers[-1]
