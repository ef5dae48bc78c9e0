import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clary.engine.world import World
from clary.gateway.registry.sweep import SETTLED, sweep
from clary.kernel.settings import Settings
from clary.services.ecr import _blobs, _images, _lifecycle, _manifests, repository
from clary.services.ecr._records import EVERYWHERE, UPLOAD, Place
from clary.store import identities, records
from clary.store.database import Store
from clary.testing.registry import EMPTY, OCI_INDEX, digest_of, index, manifest
from clary.toolkit.objects import Entry, Objects

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1, minutes=1)
PLACE = Place("123456789012", "us-east-1", "one")


class Bucket(Objects):
    """Objects by name alone."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    def list(self, uri: str) -> Iterator[Entry]:
        prefix = uri.removeprefix("s3://clary-registry/")
        yield from [Entry("clary-registry", key) for key in sorted(self.keys) if key.startswith(prefix)]

    def delete(self, uris: Iterable[str]) -> None:
        self.keys -= {uri.removeprefix("s3://clary-registry/") for uri in uris}


class Site:
    """A registry whose time moves."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.now, self.bucket = store, START, Bucket()
        settings = Settings(data_dir=folder)
        self.world = World(settings=settings, store=store, clock=lambda: self.now, secret=b"s", objects={})
        store.write(identities.create_account, "a", PLACE.account, START)
        store.write(repository.ensure, PLACE, START)

    def begin(self, *names: str) -> str:
        upload = self.store.write(_blobs.begin, PLACE, self.now).upload
        self.bucket.keys |= {f"{PLACE.account}/{upload}/{name}" for name in names}
        return upload

    def push(self, data: bytes, *orphans: str) -> str:
        upload = self.begin("a", *orphans)
        self.store.write(_blobs.append, PLACE, upload, 0, [("a", len(data))], self.now)
        self.store.write(_blobs.finish, PLACE, upload, len(data), digest_of(data), self.now)
        return f"{PLACE.account}/{upload}/a"

    def put(self, text: bytes, tag: str = "", kind: str = "") -> str:
        return self.store.write(_images.put, PLACE, _manifests.parse(text, kind), tag, self.now)[0].key

    def sweep(self, after: timedelta = timedelta()) -> None:
        self.now += after
        sweep(self.world, self.bucket)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Store.open("sqlite://") as store:
        yield Site(store, tmp_path)


def test_the_layers_of_an_image_stay_and_others_go_after_a_day(site: Site) -> None:
    kept = {site.push(EMPTY), site.push(b"layer")}
    site.push(b"loose")
    digest = site.put(manifest(b"layer"))
    site.sweep(timedelta(hours=23))
    assert len(site.bucket.keys) == 3
    site.sweep(DAY)
    site.sweep(SETTLED + timedelta(seconds=1))
    assert site.bucket.keys == kept
    assert site.store.read(_images.find, PLACE, digest) is not None


def test_a_deleted_images_layers_go_unless_another_image_has_them(site: Site) -> None:
    empty, shared, own = (site.push(each) for each in (EMPTY, b"shared", b"own"))
    site.put(manifest(b"shared"))
    gone = site.put(manifest(b"shared", b"own"))
    site.store.write(_images.delete, PLACE, gone)
    site.sweep(DAY)
    site.sweep(DAY)
    assert site.bucket.keys == {empty, shared}
    assert own not in site.bucket.keys


def test_what_is_pushed_again_just_before_the_sweep_stays(site: Site) -> None:
    kept = {site.push(EMPTY), site.push(b"layer")}
    site.now += DAY
    site.store.write(_blobs.link, PLACE, digest_of(b"layer"), site.now)
    site.store.write(_blobs.link, PLACE, digest_of(EMPTY), site.now)
    site.sweep()
    site.put(manifest(b"layer"))
    site.sweep(DAY)
    site.sweep(DAY)
    assert site.bucket.keys == kept


def test_an_abandoned_upload_goes_and_one_that_gets_bytes_stays(site: Site) -> None:
    site.begin("x", "y")
    alive = site.begin("a")
    site.now += timedelta(hours=23)
    site.store.write(_blobs.append, PLACE, alive, 0, [("a", 1)], site.now)
    site.sweep(timedelta(hours=2))
    site.sweep(DAY - timedelta(hours=2))
    assert site.bucket.keys == {f"{PLACE.account}/{alive}/a"}


def test_what_a_killed_writer_left_beside_a_blob_goes(site: Site) -> None:
    kept = {site.push(EMPTY), site.push(b"layer", "orphan")}
    site.put(manifest(b"layer"))
    assert len(site.bucket.keys) == 3
    site.sweep(SETTLED + timedelta(seconds=1))
    assert site.bucket.keys == kept


def test_the_bytes_of_a_blob_that_was_known_go(site: Site) -> None:
    first = site.push(b"layer")
    site.push(b"layer")
    site.sweep(SETTLED + timedelta(seconds=1))
    assert site.bucket.keys == {first}


def test_a_sweep_killed_before_the_objects_went_is_made_good(site: Site) -> None:
    site.push(b"loose")
    keys = set(site.bucket.keys)
    site.sweep(DAY)
    (upload,) = {key.split("/")[1] for key in keys}
    assert site.bucket.keys == keys
    assert site.store.read(records.find, PLACE.account, EVERYWHERE, UPLOAD, upload) is not None
    site.sweep(SETTLED + timedelta(seconds=1))
    assert not site.bucket.keys
    assert site.store.read(records.find, PLACE.account, EVERYWHERE, UPLOAD, upload) is None


def test_images_expire_by_their_policy_an_index_with_what_it_lists(site: Site) -> None:
    site.push(EMPTY)
    site.put(manifest())
    site.put(index(manifest()), kind=OCI_INDEX)
    site.now += timedelta(days=5)
    for each in (b"new", b"newer"):
        site.push(each)
        site.put(manifest(each), tag=each.decode())
    selection = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": 3,
    }
    rules = [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]
    site.store.write(_lifecycle.keep, PLACE, json.dumps({"rules": rules}), site.now)
    site.sweep()
    found = [site.store.read(_images.resolve, PLACE, tag) for tag in ("new", "newer")]
    assert None not in found
    assert site.store.read(_images.find, PLACE, digest_of(manifest())) is None
    policy = site.store.read(_lifecycle.find, PLACE)
    assert policy is not None
    assert policy.document["evaluated"] == site.now
