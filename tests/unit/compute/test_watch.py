"""Ends of processes and renames into folders wake the one who waits."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.compute import watch


@pytest.fixture(params=["told", "looks"])
def eyes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[watch.Watch]:
    if request.param == "looks":  # as on a system without inotify and pidfds
        monkeypatch.setattr(watch, "_inotify", lambda: None)
        monkeypatch.delattr(os, "pidfd_open")
        monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.01)
    eyes = watch.Watch()
    yield eyes
    eyes.close()
    eyes.close()


def heard(eyes: watch.Watch) -> set[str]:
    for _ in range(5):  # a wake-up alone names nobody
        names = eyes.wait(5)
        if names:
            return names
    return set()


def test_the_end_of_a_process_is_told(eyes: watch.Watch) -> None:
    child = subprocess.Popen(["sleep", "0.02"])
    eyes.process(child.pid, "run")
    assert heard(eyes) == {"run"}
    child.wait()


def test_a_rename_into_a_folder_is_told(eyes: watch.Watch, tmp_path: Path) -> None:
    eyes.folder(tmp_path, "run")
    (tmp_path / "a").touch()
    (tmp_path / "a").rename(tmp_path / "b")
    assert heard(eyes) == {"run"}


def test_what_is_forgotten_is_not_told(eyes: watch.Watch, tmp_path: Path) -> None:
    eyes.folder(tmp_path, "run")
    eyes.forget("run")
    (tmp_path / "a").touch()
    (tmp_path / "a").rename(tmp_path / "b")
    assert eyes.wait(0.01) == set()


def test_wake_returns_at_once(eyes: watch.Watch) -> None:
    eyes.wake()
    assert eyes.wait(60) == set()
