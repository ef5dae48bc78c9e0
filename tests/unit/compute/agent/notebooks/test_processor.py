"""Processor time of a tree of processes, held by the kernel where a group can be made."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.compute.agent.notebooks import processor
from clary.compute.limits import remove_group
from clary.kernel import ids

BUSY = "import os, time\nos.fork()\nend = time.time() + {s}\nwhile time.time() < end: pass\n"


def n_throttled(folder: Path) -> int:
    """Return in how many periods the kernel made a group wait."""
    lines = (folder / "cpu.stat").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("nr_throttled ")))


@pytest.fixture
def group() -> Iterator[str]:
    """The name of a group that is removed at the end, once its processes are gone."""
    name = f"test-{ids.short()}"
    yield name
    parent = processor._v1_parent()
    if parent is not None and (parent / name).is_dir():
        remove_group(parent / name)


@pytest.fixture
def busy() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", BUSY.format(s=30)])
    deadline = time.monotonic() + 60
    while len(processor.tree(process.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    yield process.pid
    for pid in processor.tree(process.pid):
        subprocess.run(["kill", "-9", str(pid)], check=False)
    process.wait()


def test_a_process_and_what_it_forked_get_no_more_than_their_share(busy: int, group: str) -> None:
    parent = processor._v1_parent()
    release = processor.hold(busy, group, 0.02)
    if release is processor._nothing:
        pytest.skip("no cgroup with a processor limit can be made here")
    assert parent is not None
    held = {int(each) for each in (parent / group / "cgroup.procs").read_text().split()}
    assert processor.tree(busy) <= held
    deadline = time.monotonic() + 60
    while n_throttled(parent / group) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert n_throttled(parent / group) >= 3, "the kernel made them wait"


def test_where_no_group_can_be_made_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_v1_parent", lambda: None)
    processor.hold(1, "none", 1)()
