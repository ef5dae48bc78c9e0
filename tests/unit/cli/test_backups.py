"""Backups that are none, or damaged, or have nowhere to go."""

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.cli.backups import archive, reading, stored, writing
from clary.cli.backups.ahead import MOST_BYTES, Answer
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.toolkit.object_faults import MissingError
from clary.toolkit.objects import Entry


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Return a file that is as a backup is."""
    path = tmp_path / "whole.tar"
    contents = archive.Contents()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        archive.add(tar, contents, "store.db", io.BytesIO(b"rows" * 1_000))
        archive.add(tar, contents, "objects/bucket/1", io.BytesIO(b"object"), headers={"CLARY.key": "a/../b"})
        sums = json.dumps(contents.sums).encode()
        archive.add(tar, contents, "sums.json", io.BytesIO(sums))
    return path


def test_a_whole_one_is_whole(whole: Path) -> None:
    found = reading.verify(whole)
    assert (found.n_objects, found.n_bytes) == (1, 4_006)


def test_one_changed_byte_is_found_and_named(whole: Path) -> None:
    body = bytearray(whole.read_bytes())
    body[body.index(b"rowsrows") + 17] ^= 1
    whole.write_bytes(body)
    with pytest.raises(SetupError, match=r"is damaged: 1 members differ, the first is store\.db"):
        reading.verify(whole)


@pytest.mark.parametrize("length", [0, 100, 3_000, 5_000])
def test_one_that_was_cut_is_refused(whole: Path, length: int, settings: Settings) -> None:
    whole.write_bytes(whole.read_bytes()[:length])
    with pytest.raises(SetupError, match="no backup of Clary, or it was cut off"):
        reading.read(whole, settings)
    assert not settings.data_dir.exists()


def test_a_folder_in_use_is_not_restored_into(whole: Path, settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "clary.db").write_bytes(b"")
    with pytest.raises(SetupError, match="holds a Clary already"):
        reading.read(whole, settings)


def test_where_nothing_ran_there_is_nothing_to_back_up(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(SetupError, match="there is nothing to back up"):
        writing.write(settings, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


class Torn(io.BytesIO):
    """A file whose first reading breaks off."""

    n_reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.n_reads += 1
        if self.n_reads == 1:
            raise ConnectionResetError("cut")
        return super().read(10 if size else 0)


def test_what_breaks_off_is_read_again_and_what_is_gone_is_left_out(tmp_path: Path) -> None:
    path, contents = tmp_path / "b.tar", archive.Contents()

    def gone() -> None:
        raise MissingError("deleted")

    def never() -> None:
        raise ConnectionResetError("cut")

    file = Torn(b"a" * 10 + b"b" * 10)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        archive.add(tar, contents, "store.db", io.BytesIO(b"rows"))
        archive.added(tar, "torn", lambda: archive.add(tar, contents, "objects/b/1", file, n_bytes=10))
        archive.added(tar, "gone", gone)
        with pytest.raises(SetupError, match="s3://b/x cannot be copied: cut"):
            archive.added(tar, "s3://b/x", never)
        archive.add(tar, contents, "sums.json", io.BytesIO(json.dumps(contents.sums).encode()))
    found = reading.verify(path)
    assert (found.n_objects, found.n_bytes) == (1, 14)


class Shelf:
    """A store of objects that the test fills; who reads ahead finds them, or what the test says."""

    def __init__(self, **bodies: bytes) -> None:
        self.bodies, self.listed = bodies, dict(bodies)
        self.cancel = threading.Event()
        self.late: dict[str, threading.Event] = {}
        self.broken: set[str] = set()
        self.asked: list[str] = []

    def read(self, _bucket: str, key: str) -> Answer:
        if key in self.late:
            self.late[key].wait(10)
        for each in self.late.values():
            each.set()
        if key in self.broken:
            raise ConnectionResetError("cut")
        return self._answer(key)

    def _answer(self, key: str) -> Answer:
        if key not in self.bodies:
            raise MissingError(key)
        return Answer({archive.KEY: key}, len(self.bodies[key]), io.BytesIO(self.bodies[key]))

    def list(self, _uri: str) -> Iterator[Entry]:
        return (Entry("b", key, len(body)) for key, body in self.listed.items())

    def ask(self, _verb: str, uri: str, _call: object) -> Any:
        if uri == "s3://all":
            return {"Buckets": [{"Name": "b"}]}
        if uri == "s3://b":
            return {}
        self.asked.append(uri)
        answer = self._answer(uri.removeprefix("s3://b/"))
        return {"ContentLength": answer.n_bytes, "Body": answer.body}


def kept(shelf: Shelf, path: Path) -> list[str]:
    """Back all of it up; return the keys as they lie in the file."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        stored.add_all(tar, archive.Contents(), shelf, shelf)  # type: ignore[arg-type]
    with tarfile.open(path) as tar:
        return [each.pax_headers[archive.KEY] for each in tar if each.isreg()]


def test_objects_lie_in_the_order_of_the_listing_whoever_answers_first(tmp_path: Path) -> None:
    shelf = Shelf(**{f"k{n:02}": b"x" for n in range(40)})
    shelf.late["k00"] = threading.Event()
    assert kept(shelf, tmp_path / "b.tar") == sorted(shelf.bodies)
    assert shelf.asked == []


def test_what_cannot_be_read_ahead_is_read_in_its_turn_and_what_has_gone_is_left_out(tmp_path: Path) -> None:
    shelf = Shelf(a=b"1", cut=b"2", gone=b"3", long=bytes(MOST_BYTES + 1), z=b"5")
    shelf.broken.add("cut")
    del shelf.bodies["gone"]
    assert kept(shelf, tmp_path / "b.tar") == ["a", "cut", "long", "z"]
    assert shelf.asked == ["s3://b/cut", "s3://b/long"]


def test_no_more_are_read_ahead_than_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(**{f"k{n:02}": b"x" for n in range(3 * stored.N_AHEAD)})
    begun, added = set[str](), list[int]()
    read, add = shelf.read, archive.add

    def counted(bucket: str, key: str) -> Answer:
        begun.add(key)
        return read(bucket, key)

    def adding(*given: Any, **named: Any) -> None:
        added.append(len(begun) - len(added))
        add(*given, **named)

    monkeypatch.setattr(shelf, "read", counted)
    monkeypatch.setattr(archive, "add", adding)
    kept(shelf, tmp_path / "b.tar")
    assert len(added) == 3 * stored.N_AHEAD
    assert max(added) <= stored.N_AHEAD


def test_a_full_disk_ends_the_reading_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(a=b"1", b=b"2")

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(archive, "add", full)
    with pytest.raises(SetupError, match="s3://b/a cannot be copied: no space left"):
        kept(shelf, tmp_path / "b.tar")
    assert shelf.cancel.is_set()


def test_both_names_of_one_file_are_kept(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("content")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    contents = archive.Contents()
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("one", "two"):
            archive.add_file(tar, contents, tmp_path / name, f"notebooks/{name}")
    with tarfile.open(tmp_path / "b.tar") as tar:
        tar.extractall(tmp_path / "back", filter="tar")
    assert (tmp_path / "back/notebooks/two").read_text() == "content"
