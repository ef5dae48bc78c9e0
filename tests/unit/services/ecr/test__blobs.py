from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from clary.kernel.errors import AwsError
from clary.services.ecr import _blobs, repository
from clary.services.ecr._blobs import WrongPlaceError
from clary.services.ecr._records import Place
from clary.store.base import Stale
from clary.store.database import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACE, OTHER = (Place("123456789012", "us-east-1", name) for name in ("one", "two"))


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        for place in (PLACE, OTHER):
            opened.write(repository.ensure, place, NOW)
        yield opened


def begin(store: Store) -> str:
    return store.write(_blobs.begin, PLACE, NOW).upload


def test_segments_follow_each_other_and_become_a_blob(store: Store) -> None:
    upload = begin(store)
    assert store.write(_blobs.append, PLACE, upload, 0, [("a", 5)], NOW) == 5
    assert store.write(_blobs.append, PLACE, upload, 5, [("b", 3), ("c", 1)], NOW) == 9
    assert store.write(_blobs.finish, PLACE, upload, 9, "sha256:d", NOW)
    blob = store.read(_blobs.blob_of, PLACE, "sha256:d")
    assert blob is not None
    known = _blobs.bytes_of(blob)
    assert (known.segments, known.upload, known.size) == ((("a", 5), ("b", 3), ("c", 1)), upload, 9)


def test_a_second_writer_is_told_where_the_upload_ends(store: Store) -> None:
    upload = begin(store)
    store.write(_blobs.append, PLACE, upload, 0, [("a", 5)], NOW)
    with pytest.raises(WrongPlaceError) as wrong:
        store.write(_blobs.append, PLACE, upload, 0, [("z", 7)], NOW)
    assert wrong.value.size == 5
    with pytest.raises(WrongPlaceError):
        store.write(_blobs.finish, PLACE, upload, 7, "sha256:d", NOW)


def test_what_was_told_before_may_be_told_again(store: Store) -> None:
    upload = begin(store)
    for _ in range(2):
        assert store.write(_blobs.append, PLACE, upload, 0, [("a", 5)], NOW) == 5
    store.write(_blobs.finish, PLACE, upload, 5, "sha256:d", NOW)
    assert store.read(_blobs.is_finished, PLACE, upload, "sha256:d")
    with pytest.raises(AwsError, match="not found"):
        store.write(_blobs.append, PLACE, upload, 5, [("b", 5)], NOW)


def test_the_same_blob_twice_keeps_the_first_bytes(store: Store) -> None:
    uploads = [begin(store), begin(store)]
    for number, upload in enumerate(uploads):
        store.write(_blobs.append, PLACE, upload, 0, [("a", 5)], NOW)
        assert store.write(_blobs.finish, PLACE, upload, 5, "sha256:d", NOW) is (number == 0)
    blob = store.read(_blobs.blob_of, PLACE, "sha256:d")
    assert blob is not None
    assert blob.document["upload"] == uploads[0]


def test_an_upload_is_of_its_repository(store: Store) -> None:
    upload = begin(store)
    with pytest.raises(AwsError, match="not found"):
        store.read(_blobs.upload_of, OTHER, upload)


def test_a_blob_goes_with_its_last_repository_and_not_while_it_is_renewed(store: Store) -> None:
    upload = begin(store)
    store.write(_blobs.finish, PLACE, upload, 0, "sha256:d", NOW)
    assert store.write(_blobs.link, OTHER, "sha256:d", NOW)
    old = store.read(_blobs.blob_of, PLACE, "sha256:d")
    assert old is not None
    store.write(_blobs.unlink, old, [PLACE.link], NOW)
    assert store.read(_blobs.blob_of, PLACE, "sha256:d") is None
    with pytest.raises(Stale):
        store.write(_blobs.unlink, old, [PLACE.link, OTHER.link], NOW)
    last = store.read(_blobs.blob_of, OTHER, "sha256:d")
    assert last is not None
    store.write(_blobs.unlink, last, [OTHER.link], NOW)
    assert not store.write(_blobs.link, OTHER, "sha256:d", NOW)
