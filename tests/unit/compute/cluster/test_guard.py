import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.compute import linux
from clary.compute.cluster import guard
from clary.compute.cluster.node import settings_of

MARK = "mark"
LEASE_S = 0.3

pytestmark = pytest.mark.skipif(not linux.IS_LINUX, reason="nodes run Linux")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start what stands for an agent, in a host's folder."""
    home = tmp_path / "runs/r/hosts/algo-1"
    home.mkdir(parents=True)
    process = subprocess.Popen(["sleep", "60"])
    (home / "pid").write_text(linux.stamp(process.pid))
    (home / "keeper").write_text(MARK)
    yield process
    process.kill()
    process.wait()


def spawn(folder: Path, mark: str = MARK, lease_s: float = LEASE_S) -> "subprocess.Popen[bytes]":
    words = [str(folder / "runs"), mark, str(lease_s), str(os.getpid()), str(folder / "zygote.pid")]
    return subprocess.Popen([sys.executable, "-I", "-S", str(guard.__file__), *words], stdin=subprocess.PIPE)


def test_agents_end_with_their_keeper(tmp_path: Path, agent: "subprocess.Popen[bytes]") -> None:
    process = spawn(tmp_path, lease_s=60.0)
    assert process.stdin is not None
    process.stdin.close()
    assert agent.wait(20) == -9
    process.kill()
    process.wait()


def test_agents_end_with_the_lease(tmp_path: Path, agent: "subprocess.Popen[bytes]") -> None:
    process = spawn(tmp_path)
    assert agent.wait(20) == -9
    process.kill()
    process.wait()


def test_agents_of_a_renewed_lease_and_of_other_keepers_go_on(
    tmp_path: Path, agent: "subprocess.Popen[bytes]"
) -> None:
    ours, theirs = spawn(tmp_path), spawn(tmp_path, mark="another")
    assert ours.stdin is not None
    ours.stdin.write(f"{time.monotonic() + 60}\n".encode())
    ours.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        agent.wait(3 * LEASE_S)
    for each in (theirs, ours):
        each.kill()
        each.wait()


def test_who_has_a_result_is_left_alone(tmp_path: Path, agent: "subprocess.Popen[bytes]") -> None:
    home = tmp_path / "runs/r/hosts/algo-1"
    (home / "result.json").write_text("{}")
    guard.sweep(tmp_path / "runs", MARK)
    assert agent.poll() is None


def test_a_node_has_a_folder_for_each_clary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARY_NODE_DIR", str(tmp_path))
    assert settings_of("10.0.0.1", "clary-a").data_dir == tmp_path / "clary-a"
    monkeypatch.setenv("CLARY_NODE_DIR", "")
    assert settings_of("10.0.0.1", "clary-a").data_dir == Path.home() / ".clary/nodes/10.0.0.1/clary-a"
