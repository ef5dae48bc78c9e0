import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.compute import linux
from clary.compute.cluster import node
from clary.compute.cluster.node import Keeper, visible_gpus

pytestmark = pytest.mark.skipif(not linux.IS_LINUX, reason="nodes run Linux")


@pytest.fixture
def raylet(request: pytest.FixtureRequest) -> Iterator[int]:
    """Start what stands for Ray on a node, told which GPUs are its."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": request.param}
    if request.param is None:
        del environment["CUDA_VISIBLE_DEVICES"]
    with subprocess.Popen(["cat"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"runs\n")
        process.stdin.flush()
        process.stdout.readline()  # before its first line the kernel may show no environment yet
        yield process.pid
        process.kill()


@pytest.mark.parametrize(
    ("raylet", "expected"),
    [(None, (0, 1)), ("2,5,7", (2, 5)), ("", ()), ("GPU-8d3f,GPU-11aa", ())],
    indirect=["raylet"],
)
def test_gpus_are_numbered_as_ray_was_told_else_from_the_first(
    raylet: int, expected: tuple[int, ...]
) -> None:
    assert visible_gpus(raylet, 2) == expected


def test_a_keeper_that_nobody_asks_and_that_has_no_host_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def end(_status: int) -> None:
        ended.set()
        threading.Event().wait()  # as a process that ends does nothing more

    monkeypatch.setenv("CLARY_NODE_DIR", str(tmp_path))
    monkeypatch.setattr(node, "LONELY_S", 0.0)
    monkeypatch.setattr(os, "_exit", end)
    keeper = Keeper(
        "clary-unit",
        address="127.0.0.1",
        belongs=lambda: False,
        lease_s=60.0,
        raylet=os.getpid(),
        is_warm=False,
    )
    try:
        assert ended.wait(30.0)
    finally:
        keeper._guard.kill()
        keeper._guard.communicate()
