"""Compiled kernels: loaded where that is quick, else compiled by one process for all."""

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clary.compute import zygote
from clary.toolkit.kernels import _numba, warm


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(_numba, "folder", lambda: tmp_path)
    return tmp_path


def test_kernels_are_loaded_only_where_they_are_compiled(folder: Path) -> None:
    assert not warm.load()
    warm.main()
    assert [each.name for each in folder.glob("warm-*")] == [warm._mark().name]
    assert warm.load()


def test_of_several_processes_only_the_first_compiles(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []
    monkeypatch.setattr(warm, "_import_all", lambda: turns.append(1))
    warm.main()
    warm.main()
    assert turns == [1]


def test_a_zygote_has_them_compiled_once_and_loads_them_when_they_are_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    class Compiling:
        returncode = None

        def __init__(self, command: list[str], **_: Any) -> None:
            started.append(command)

    assert not warm.is_warm()  # asks the system what its processor is, once, by a process
    monkeypatch.setattr(subprocess, "Popen", Compiling)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    mother = zygote.Zygote(folder / "socket")
    mother._load_kernels()
    mother._load_kernels()
    assert started == [[sys.executable, "-P", "-m", "clary.toolkit.kernels.warm"]]
    assert not mother._has_kernels
    warm._mark().touch()
    mother._load_kernels()
    assert mother._has_kernels
