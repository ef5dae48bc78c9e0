"""Folders are kept in step: steady files only while the program runs, everything at its end."""

from pathlib import Path

import pytest

from clary.compute.agent.sync import FolderSync
from clary.kernel.errors import CustomerError
from clary.testing.s3 import MemoryS3
from clary.toolkit.objects import Objects


@pytest.fixture
def sync(s3: MemoryS3, tmp_path: Path) -> FolderSync:
    return FolderSync(Objects(**s3.where), tmp_path / "ckpt", "s3://b/keep/")


def test_a_file_goes_up_when_it_has_been_seen_twice_the_same(
    sync: FolderSync, s3: MemoryS3, tmp_path: Path
) -> None:
    (tmp_path / "ckpt/sub").mkdir(parents=True)
    file = tmp_path / "ckpt/sub/epoch"
    file.write_text("1")
    assert sync.sweep() == []
    file.write_text("12")
    assert sync.sweep() == []
    assert sync.sweep() == ["sub/epoch"]
    assert s3.get("s3://b/keep/sub/epoch") == b"12"
    assert sync.sweep() == []


def test_the_last_look_takes_everything(sync: FolderSync, s3: MemoryS3, tmp_path: Path) -> None:
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "ckpt/a").write_text("a")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "ckpt/link").symlink_to(tmp_path / "secret")
    sync.finish()
    assert s3.keys("s3://b/keep/") == ["keep/a"]


def test_what_was_restored_is_not_sent_back(sync: FolderSync, s3: MemoryS3, tmp_path: Path) -> None:
    s3.put("s3://b/keep/a/b", b"old")
    s3.put("s3://b/keep/a/", b"")
    s3.put("s3://b/keepsake", b"another's")
    assert sync.restore() == 1
    assert (tmp_path / "ckpt/a/b").read_text() == "old"
    assert sync.sweep(is_last=True) == []


def test_deleted_files_stay_in_the_store(sync: FolderSync, s3: MemoryS3, tmp_path: Path) -> None:
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "ckpt/a").write_text("a")
    sync.sweep(is_last=True)
    (tmp_path / "ckpt/a").unlink()
    sync.finish()
    assert s3.keys("s3://b/keep/") == ["keep/a"]


def test_a_bucket_that_is_gone_is_an_error_at_the_end(s3: MemoryS3, tmp_path: Path) -> None:
    sync = FolderSync(Objects(**s3.where), tmp_path, "s3://gone/keep")
    (tmp_path / "a").write_text("a")
    with pytest.raises(CustomerError, match="gone"):
        sync.finish()
