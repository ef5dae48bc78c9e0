"""Objects kept on the host: read once, never shared with a job, forgotten in time."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from clary.toolkit.objectcache import ObjectCache
from clary.toolkit.objects import Entry


@dataclass
class Source:
    """Stands for S3: counts what is downloaded."""

    contents: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def entry(self, key: str, body: bytes, etag: str = "") -> Entry:
        self.contents[key] = body
        return Entry("bucket", key, len(body), etag or f'"{body.decode()[:8]}"')

    def fetch(self, wanted):
        for entry, path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.contents[entry.key])
            self.fetched.append(entry.key)
        return sum(path.stat().st_size for _entry, path in wanted)


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand for the machine's disk, which may be nearly full."""
    disk = SimpleNamespace(total=1000, free=900)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: disk)
    return disk


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(tmp_path / "cache")


def test_an_object_is_downloaded_once_and_each_file_is_one_of_its_own(source, cache, tmp_path):
    entry = source.entry("a/b.csv", b"1,2,3")
    first, second, third = (tmp_path / name / "b.csv" for name in ("one", "two", "three"))
    assert cache.fetch(source, [(entry, first)]) == 5
    first.write_bytes(b"spoilt")
    assert cache.fetch(source, [(entry, second)]) == 5
    second.write_bytes(b"spoilt too")
    cache.fetch(source, [(entry, third)])
    assert third.read_bytes() == b"1,2,3"
    assert source.fetched == ["a/b.csv"]


def test_another_etag_size_or_key_is_another_object(source, cache, tmp_path):
    for number, (key, body, etag) in enumerate(
        [("k", b"aaaa", "1"), ("k", b"bbbb", "2"), ("k", b"ccccc", "2"), ("l", b"dddd", "1")]
    ):
        path = tmp_path / str(number)
        cache.fetch(source, [(source.entry(key, body, etag), path)])
        assert path.read_bytes() == body
    assert len(source.fetched) == 4


def test_what_was_not_listed_is_not_kept(source, cache, tmp_path):
    source.contents["k"] = b"x"
    for name in ("one", "two"):
        cache.fetch(source, [(Entry("bucket", "k"), tmp_path / name)])
    assert len(source.fetched) == 2


def test_the_least_recently_used_gives_way(source, tmp_path):
    cache = ObjectCache(tmp_path / "cache", limit_bytes=40)
    entries = {key: source.entry(key, key.encode() * 10) for key in "abcde"}
    for step, key in enumerate("abcdaea"):
        cache.fetch(source, [(entries[key], tmp_path / str(step))])
    assert source.fetched == ["a", "b", "c", "d", "e"]
    kept = list((tmp_path / "cache").iterdir())
    assert len(kept) == 4
    cache.fetch(source, [(source.entry("large", b"x" * 11), tmp_path / "large")])
    assert len(list((tmp_path / "cache").iterdir())) == 4, "too large to be kept"


def test_a_damaged_or_closed_cache_does_no_harm(source, cache, tmp_path):
    entry = source.entry("k", b"whole")
    cache.fetch(source, [(entry, tmp_path / "one")])
    [kept] = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"cut")
    cache.fetch(source, [(entry, tmp_path / "two")])
    assert (tmp_path / "two").read_bytes() == b"whole"
    (tmp_path / "file").write_bytes(b"")
    closed = ObjectCache(tmp_path / "file" / "below")
    closed.fetch(source, [(entry, tmp_path / "three")])
    assert (tmp_path / "three").read_bytes() == b"whole"


def test_a_disk_that_is_nearly_full_gets_nothing(source, cache, disk, tmp_path):
    entry = source.entry("k", b"whole")
    disk.free = 104
    for name in ("one", "two"):
        assert cache.fetch(source, [(entry, tmp_path / name)]) == 5
    assert source.fetched == ["k", "k"]
    disk.free = 105
    for name in ("three", "four"):
        assert cache.fetch(source, [(entry, tmp_path / name)]) == 5
    assert source.fetched == ["k", "k", "k"]
