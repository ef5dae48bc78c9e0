"""The image of `deploy/Containerfile`, built and started as its page says: a job and an endpoint over TLS."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clary.kernel import ids
from clary.testing.jobs import training_request, upload_csv, wait_for_endpoint, wait_for_job
from clary.testing.server import Account

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
ROOT = Path(__file__).resolve().parents[3]
GIVEN = "CLARY_TEST_IMAGE"
"""Names an image of Clary that is there already; without it one is built on a Debian of Debian's packages."""
DATA = "/var/lib/clary/data"
ENGINE = """
[containers]
default_ulimits=["nofile=16384:16384","nproc=4096:4096"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
"""
"""Under which Podman runs on a machine without systemd, with cgroups of both versions."""


def podman(*arguments: str, limit_s: float = 120.0) -> str:
    done = subprocess.run(
        ["podman", *arguments], capture_output=True, text=True, timeout=limit_s, check=False
    )
    assert done.returncode == 0, f"podman {' '.join(arguments)}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if shutil.which("podman") is None or os.geteuid() != 0:
        pytest.skip("needs root and Podman: apt install podman runc")
    with pytest.MonkeyPatch.context() as patch:
        if not Path("/run/systemd/system").exists():
            conf = tmp_path_factory.mktemp("podman") / "containers.conf"
            conf.write_text(ENGINE)
            patch.setenv("CONTAINERS_CONF", str(conf))
        yield


@pytest.fixture(scope="module")
def built(engine: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    if image := os.environ.get(GIVEN):
        return image
    if shutil.which("mmdebstrap") is None:
        pytest.skip(f"needs a base image: apt install mmdebstrap, or {GIVEN}=IMAGE")
    base = tmp_path_factory.mktemp("base") / "debian.tar"
    packages = "--include=python3,python3-venv,ca-certificates"
    made = ["mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", str(base)]
    if subprocess.run(made, capture_output=True, timeout=400, check=False).returncode:
        pytest.skip("Debian's packages cannot be reached")
    podman("import", "--quiet", str(base), "localhost/debian-python:12")
    base.unlink()
    found = [path for path in ("/etc/pip.conf", "/etc/ssl/certs") if Path(path).exists()]
    reach = [part for path in found for part in ("--volume", f"{path}:{path}:ro")]
    limits = ["--ulimit", "nofile=16384:16384", "--ulimit", "nproc=4096:4096"]
    where = [
        "--ignorefile",
        "deploy/Containerfile.containerignore",
        "--file",
        "deploy/Containerfile",
        str(ROOT),
    ]
    options = [
        "--network",
        "host",
        "--build-arg",
        "BASE=localhost/debian-python:12",
        "--tag",
        "localhost/clary:test",
    ]
    podman("build", *limits, *reach, *options, *where, limit_s=700)
    return "localhost/clary:test"


@pytest.fixture
def container(built: str) -> Iterator[str]:
    """A Clary in a container, with no capability, ready."""
    name = f"clary-{ids.short()}"
    options = ["--init", "--publish", "127.0.0.1::4747", "--shm-size", "1g", "--cap-drop", "ALL"]
    podman("run", "--detach", "--name", name, *options, "--security-opt", "no-new-privileges", built)
    try:
        look = "import urllib.request as u; u.urlopen('http://127.0.0.1:4747/_clary/health', timeout=5)"
        ends_at = time.monotonic() + 120
        asked = ["podman", "exec", name, "python3", "-c", look]
        while subprocess.run(asked, capture_output=True, check=False).returncode:
            assert time.monotonic() < ends_at, podman("logs", name)
            time.sleep(0.5)
        yield name
    finally:
        removed = ["podman", "rm", "--force", "--volumes", "--time", "20", name]
        subprocess.run(removed, capture_output=True, check=False)


@pytest.fixture
def account(container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The first account of that Clary, over TLS, by its own authority."""
    authority = tmp_path / "ca.pem"
    authority.write_text(podman("exec", container, "cat", f"{DATA}/certificates/ca.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    keys = json.loads(podman("exec", container, "cat", f"{DATA}/credentials.json"))["default"]
    port = podman("port", container, "4747").rpartition(":")[2]
    return Account(
        name="default",
        account_id=keys["account"],
        access_key_id=keys["access_key_id"],
        secret_access_key=keys["secret_access_key"],
        url=f"https://localhost:{port}",
        role_arn=f"arn:aws:iam::{keys['account']}:role/clary",
    )


def test_a_job_and_an_endpoint_in_the_image_outlive_its_restart(container: str, account: Account) -> None:
    account.client("iam").create_role(RoleName="clary", AssumeRolePolicyDocument="{}")
    rows = np.random.default_rng(0).integers(0, 2, (200, 4))
    request = training_request(account, upload_csv(account, "train/data.csv", rows))
    sagemaker, name = account.client("sagemaker"), request["TrainingJobName"]
    sagemaker.create_training_job(**request)
    described = wait_for_job(account, name, limit_s=180)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    image = request["AlgorithmSpecification"]["TrainingImage"]
    model = {"Image": image, "ModelDataUrl": described["ModelArtifacts"]["S3ModelArtifacts"]}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=account.role_arn, PrimaryContainer=model)
    variant = {
        "VariantName": "v",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert wait_for_endpoint(account, name, limit_s=180)["EndpointStatus"] == "InService"
    assert podman("exec", container, "id", "--user") == "10001"
    assert answer(account, name)
    podman("restart", "--time", "30", container)
    port = podman("port", container, "4747").rpartition(":")[2]
    again = Account(**{**account.__dict__, "url": f"https://localhost:{port}", "_clients": {}})
    assert answer(again, name)


def answer(account: Account, name: str) -> bytes:
    """Return what an endpoint says, once it does."""
    ends_at = time.monotonic() + 180
    while True:
        try:
            asked = account.client("sagemaker-runtime").invoke_endpoint(
                EndpointName=name, ContentType="text/csv", Body="1,0,1"
            )
            body: bytes = asked["Body"].read()
            return body
        except Exception:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.5)
