"""The compose file by podman-compose itself: read with the example's variables, refused without."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
DEPLOY = Path(__file__).resolve().parents[3] / "deploy"


Program = Callable[..., subprocess.CompletedProcess[str]]


def test_the_file_is_read_with_the_examples_variables_and_refused_without(
    program: Callable[..., Program], tmp_path: Path
) -> None:
    compose = program("podman-compose", "podman_compose")
    (tmp_path / "compose.yaml").write_text((DEPLOY / "compose.yaml").read_text())
    file = str(tmp_path / "compose.yaml")
    refused = compose("--file", file, "config")
    assert refused.returncode != 0
    assert "set it in deploy/.env" in refused.stdout + refused.stderr
    example = (DEPLOY / "example.env").read_text()
    (tmp_path / ".env").write_text(re.sub("=$", "=a-password", example, flags=re.MULTILINE))
    read = compose("--file", file, "config")
    assert read.returncode == 0, read.stderr
    assert "postgresql://clary:a-password@database/clary" in read.stdout
    assert "${" not in read.stdout
