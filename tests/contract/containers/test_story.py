"""Bring your own algorithm, as the example tells it: built, pushed, trained, tuned, deployed, transformed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from clary.testing.registry import password_of
from clary.testing.server import Account, ClaryServer

pytestmark = [pytest.mark.slow, pytest.mark.documented, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[3]
STORY = ROOT / "examples/byoc/run.py"
NAME = "byoc"


@pytest.fixture(scope="module")
def account(container_server: ClaryServer) -> Account:
    made = container_server.account()
    made.client("ecr").create_repository(repositoryName=NAME)
    return made


@pytest.fixture(scope="module")
def registry(container_server: ClaryServer) -> str:
    return container_server.url.removeprefix("http://")


def ran(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{argv[0]}: {done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def pushed(tool: str, podman: list[str], image: str, account: Account, registry: str) -> str:
    """Push an image as a user does, with one tool or the other."""
    uri, password = f"{registry}/{NAME}:{tool}", f"AWS:{password_of(account)}"
    if tool == "podman":
        ran(*podman, "push", "--tls-verify=false", "--creds", password, image, uri)
        return uri
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed: apt-get install skopeo")
    there = ("--dest-tls-verify=false", "--dest-creds", password)
    ran("skopeo", "copy", *there, f"containers-storage:{image}", f"docker://{uri}")
    return uri


@pytest.mark.parametrize("tool", ["podman", "skopeo"])
def test_an_image_goes_the_whole_way_through_the_sdk(
    tool: str, container_server: ClaryServer, podman: list[str], image: str, account: Account, registry: str
) -> None:
    python = ROOT / ".venvs/sdk2/bin/python"
    if not python.exists():
        pytest.skip(f"{python.relative_to(ROOT)} is not there: make test sets it up")
    uri = pushed(tool, podman, image, account, registry)
    done = subprocess.run(
        [python, "-W", "ignore", STORY, uri],
        capture_output=True,
        text=True,
        timeout=400,
        env={**container_server.env(account), "SAGEMAKER_SUPPRESS_V2_WARNING": "1"},
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert "best of the tuning job:" in done.stdout
    assert "prediction:" in done.stdout
    jobs = account.client("sagemaker").list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
    assert len(jobs) % 7 == 0  # one on two instances, six of tuning
    assert {each["TrainingJobStatus"] for each in jobs} == {"Completed"}
    assert len(done.stdout.rpartition("transformed:")[2].split(",")) == 10
