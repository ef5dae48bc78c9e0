"""`clary` with toy processes, each test on a data folder of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clary.cli.supervisor import state

TOYS = str(Path(__file__).with_name("toys.py"))


class Clary:
    """`clary` with toys, on a data folder of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.foreground: subprocess.Popen[str] | None = None

    def argv(self, *arguments: str) -> list[str]:
        folder = ["--data-dir", str(self.data_dir)] if arguments[0] != "version" else []
        return [sys.executable, TOYS, arguments[0], *folder, *arguments[1:]]

    def __call__(
        self, *arguments: str, toys: str = "web steady", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        environ = os.environ | {"TOYS": toys} | environ
        return subprocess.run(
            self.argv(*arguments), capture_output=True, text=True, env=environ, timeout=60, check=False
        )

    def start(self, toys: str = "web steady") -> state.Running:
        """Start in the foreground; return when ready."""
        started = self.spawn(toys)
        return self.wait(lambda running: running.is_ready and running.pid == started.pid)

    def spawn(self, toys: str) -> "subprocess.Popen[str]":
        """Start in the foreground; return at once."""
        self.foreground = subprocess.Popen(
            self.argv("up", "--port", "0"),
            env=os.environ | {"TOYS": toys},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self.foreground

    def wait(self, is_so, within_s: float = 60.0) -> state.Running:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            running = state.read(self.data_dir)
            if running is not None and is_so(running):
                return running
            time.sleep(0.005)
        raise AssertionError(f"not within {within_s} s: {state.read(self.data_dir)}")

    def process(self, name: str) -> state.ProcessState:
        running = state.read(self.data_dir)
        assert running is not None
        return next(each for each in running.processes if each.name == name)


@pytest.fixture(scope="session")
def clary_on():
    """Return what makes a `Clary` on a data folder."""
    return Clary


@pytest.fixture
def clary(tmp_path):
    made = Clary(tmp_path / "data")
    yield made
    made("down")
    if made.foreground is not None:
        if made.foreground.poll() is None:
            made.foreground.kill()
        made.foreground.communicate()
