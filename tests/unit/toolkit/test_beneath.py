"""Nothing below a foreign folder leads out of it."""

import os
from pathlib import Path

import pytest

from clary.toolkit import beneath


def test_files_folders_and_links_are_found_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/c").write_text("c")
    (tmp_path / "a").write_text("a")
    (tmp_path / "l").symlink_to("a")
    found = {each.name: each for each in beneath.walk(tmp_path)}
    assert list(found) == ["a", "b", "l", "b/c"]
    assert found["a"].is_file
    assert found["b"].is_folder
    assert found["l"].is_link
    assert found["l"].target == "a"


def test_a_missing_folder_holds_nothing(tmp_path: Path) -> None:
    assert list(beneath.walk(tmp_path / "none")) == []
    assert beneath.is_empty(tmp_path / "none")
    assert beneath.read_text(tmp_path / "none", "failure", 10) == ""


def test_a_folder_of_folders_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert beneath.is_empty(tmp_path)
    (tmp_path / "a/b/c").touch()
    assert not beneath.is_empty(tmp_path)


def test_a_linked_root_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/f").touch()
    (tmp_path / "link").symlink_to("real")
    assert list(beneath.walk(tmp_path / "link")) == []


@pytest.mark.parametrize("name", ["link", "folder/f", "../secret", "fifo", "real", "missing"])
def test_only_regular_files_reached_without_links_are_opened(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "real/f").write_text("f")
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to("real")
    os.mkfifo(root / "fifo")
    with pytest.raises(OSError, match=r".*"):
        beneath.open_file(root, name)
    assert beneath.read_text(root, name, 100) == ""
    assert beneath.read_text(root, "real/f", 100) == "f"
