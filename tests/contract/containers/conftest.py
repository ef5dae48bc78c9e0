"""A Clary whose images run on Debian's Podman, or on Docker, and the example's image, built offline."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.compute.docker import service
from clary.testing.server import ClaryServer

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/byoc"
IMAGE = "localhost/byoc:test"
BASE = "localhost/byoc-base:1"
ENGINE = os.environ.get("CLARY_TEST_CONTAINERS", "podman")
"""`podman`, or where a Docker listens (`unix:///var/run/docker.sock`)."""


@pytest.fixture(scope="session")
def container_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    if ENGINE == "podman" and shutil.which("podman") is None:
        pytest.skip("needs Podman: apt install podman runc")
    if os.geteuid() != 0:
        pytest.skip("needs root: doors into the networks of containers")
    server = ClaryServer.start(tmp_path_factory.mktemp("containers") / "data", containers=ENGINE)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def podman(container_server: ClaryServer) -> list[str]:
    """The command that speaks to the engine of that Clary."""
    if ENGINE != "podman":
        return ["docker", "--host", ENGINE]
    return ["podman", "--remote", "--url", f"unix://{service.socket_path(container_server.settings)}"]


@pytest.fixture(scope="session")
def image(podman: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("base") / "base.tar"
    with root.open("wb") as file:
        subprocess.run([sys.executable, EXAMPLE / "base.py"], stdout=file, check=True, timeout=120)
    subprocess.run([*podman, "import", str(root), BASE], check=True, capture_output=True, timeout=120)
    build = [*podman, "build", "--quiet", "--file", "Containerfile", "--tag", IMAGE, "."]
    subprocess.run(build, cwd=EXAMPLE, check=True, capture_output=True, timeout=120)
    return IMAGE
