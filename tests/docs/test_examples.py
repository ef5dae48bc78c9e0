"""The examples run as they stand, under `clary run`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clary.testing.server import ClaryServer

ROOT = Path(__file__).resolve().parents[2]
SDK2 = ROOT / ".venvs" / "sdk2" / "bin" / "python"
SDK3 = ROOT / ".venvs" / "sdk3" / "bin" / "python"


def clary_run(server: ClaryServer, python: Path, program: str, *arguments: str) -> str:
    """Run a program of this repository under `clary run`, and return what it printed."""
    if not python.exists():
        pytest.skip(f"{python.relative_to(ROOT)} is not there: make test sets it up")
    command = [sys.executable, "-m", "clary.cli.main", "run", "--", str(python), program, *arguments]
    environ = os.environ | {"CLARY_DATA_DIR": str(server.data_dir), "SAGEMAKER_SUPPRESS_V2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=170
    )
    assert done.returncode == 0, f"{program} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_boto3_alone_trains_hosts_and_asks(clary_server: ClaryServer) -> None:
    text = clary_run(clary_server, Path(sys.executable), "examples/boto3_only.py")
    assert "training  Completed" in text
    assert "endpoint  InService" in text


def test_sdk_v2_trains_a_builtin_and_a_script(clary_server: ClaryServer) -> None:
    text = clary_run(clary_server, SDK2, "examples/sdk_v2.py")
    assert text.count("accuracy  0.9") == 2


@pytest.mark.sdk_v3
@pytest.mark.slow
def test_sdk_v3_trains_a_builtin_and_a_script(clary_server: ClaryServer) -> None:
    text = clary_run(clary_server, SDK3, "examples/sdk_v3.py")
    assert "accuracy  0.9" in text
    assert text.count("model     s3://") == 2


@pytest.mark.slow
def test_a_remote_function_answers_as_a_local_one(clary_server: ClaryServer) -> None:
    text = clary_run(clary_server, SDK2, "examples/remote_function.py")
    assert text.strip().splitlines()[-1].startswith("remote ")


@pytest.mark.slow
def test_two_tiers_are_trained_judged_and_served_as_one(clary_server: ClaryServer) -> None:
    text = clary_run(clary_server, SDK2, "examples/tiers/run.py")
    caught, frauds = text.split("frauds caught")[1].split("\n")[0].split(" of ")
    assert int(caught) > 0.8 * int(frauds)
    assert "'path': '1/" in text


def test_the_demo_tells_its_story_and_writes_its_report(clary_server: ClaryServer, tmp_path: Path) -> None:
    text = clary_run(clary_server, SDK2, "demo/fraud.py", "--output", str(tmp_path))
    assert "area under the ROC curve" in text
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 4
    assert "$" not in page.split("</style>")[1].split("<svg")[0]
