"""Backups that are none, or damaged, or have nowhere to go."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from clary.cli import backups
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings
from clary.toolkit.object_faults import MissingError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Return a file that is as a backup is."""
    path = tmp_path / "whole.tar"
    contents = backups.Contents()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        backups._add(tar, contents, "store.db", io.BytesIO(b"rows" * 1_000))
        backups._add(
            tar, contents, "objects/bucket/1", io.BytesIO(b"object"), headers={"CLARY.key": "a/../b"}
        )
        sums = json.dumps(contents.sums).encode()
        backups._add(tar, contents, "sums.json", io.BytesIO(sums))
    return path


def test_a_whole_one_is_whole(whole: Path) -> None:
    found = backups.verify(whole)
    assert (found.n_objects, found.n_bytes) == (1, 4_006)


def test_one_changed_byte_is_found_and_named(whole: Path) -> None:
    body = bytearray(whole.read_bytes())
    body[body.index(b"rowsrows") + 17] ^= 1
    whole.write_bytes(body)
    with pytest.raises(SetupError, match=r"is damaged: 1 members differ, the first is store\.db"):
        backups.verify(whole)


@pytest.mark.parametrize("length", [0, 100, 3_000, 5_000])
def test_one_that_was_cut_is_refused(whole: Path, length: int, settings: Settings) -> None:
    whole.write_bytes(whole.read_bytes()[:length])
    with pytest.raises(SetupError, match="no backup of Clary, or it was cut off"):
        backups.read(whole, settings)
    assert not settings.data_dir.exists()


def test_a_folder_in_use_is_not_restored_into(whole: Path, settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "clary.db").write_bytes(b"")
    with pytest.raises(SetupError, match="holds a Clary already"):
        backups.read(whole, settings)


def test_where_nothing_ran_there_is_nothing_to_back_up(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(SetupError, match="there is nothing to back up"):
        backups.write(settings, tmp_path / "b.tar")
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
    path, contents = tmp_path / "b.tar", backups.Contents()

    def gone() -> None:
        raise MissingError("deleted")

    def never() -> None:
        raise ConnectionResetError("cut")

    file = Torn(b"a" * 10 + b"b" * 10)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        backups._add(tar, contents, "store.db", io.BytesIO(b"rows"))
        backups._added(tar, "torn", lambda: backups._add(tar, contents, "objects/b/1", file, n_bytes=10))
        backups._added(tar, "gone", gone)
        with pytest.raises(SetupError, match="s3://b/x cannot be copied: cut"):
            backups._added(tar, "s3://b/x", never)
        backups._add(tar, contents, "sums.json", io.BytesIO(json.dumps(contents.sums).encode()))
    found = backups.verify(path)
    assert (found.n_objects, found.n_bytes) == (1, 14)


def test_both_names_of_one_file_are_kept(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("content")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    contents = backups.Contents()
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("one", "two"):
            backups._add_file(tar, contents, tmp_path / name, f"notebooks/{name}")
    with tarfile.open(tmp_path / "b.tar") as tar:
        tar.extractall(tmp_path / "back", filter="tar")
    assert (tmp_path / "back/notebooks/two").read_text() == "content"
