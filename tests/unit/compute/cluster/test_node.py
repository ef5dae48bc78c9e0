import os
import subprocess
from collections.abc import Iterator

import pytest

from clary.compute import linux
from clary.compute.cluster.node import visible_gpus

pytestmark = pytest.mark.skipif(not linux.IS_LINUX, reason="nodes run Linux")


@pytest.fixture
def raylet(request: pytest.FixtureRequest) -> Iterator[int]:
    """Start what stands for Ray on a node, told which GPUs are its."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": request.param}
    if request.param is None:
        del environment["CUDA_VISIBLE_DEVICES"]
    with subprocess.Popen(["sleep", "60"], env=environment) as process:
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
