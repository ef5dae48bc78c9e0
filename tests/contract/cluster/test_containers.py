"""Real images on the nodes of a Ray cluster, each node with a Podman and images of its own."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.compute.docker import service
from clary.compute.docker.client import Docker
from clary.testing import cluster as clusters
from clary.testing.cluster import PATIENCE_S, Cluster, lines, until
from clary.testing.hosting import Crowd, Hosting
from clary.testing.jobs import new_bucket, wait_for_job
from clary.testing.registry import password_of
from clary.testing.server import Account, ClaryServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(clusters.missing()), reason=clusters.missing() or "there are clusters"),
    pytest.mark.skipif(shutil.which("podman") is None, reason="needs Podman: apt install podman runc"),
]
ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples/byoc"
RUN = {
    "ContainerEntrypoint": ["python3", "-c", "import os; exec(os.environ['PROGRAM'] + os.environ['MORE'])"]
}
MEET = """
import json, socket, time
me = json.load(open('/opt/ml/input/config/resourceconfig.json'))['current_host']
if me == 'algo-1':
    line = socket.create_server((socket.gethostbyname(me), 7171)).accept()[0]
    print('met', line.recv(9).decode(), 'from', line.getpeername()[0], flush=True)
else:
    for _ in range(1200):
        try: socket.create_connection(('algo-1', 7171)).sendall(me.encode()); break
        except OSError: time.sleep(0.1)
print('named', socket.gethostname(), flush=True)
"""
ROLE = """
import json, os, urllib.request as u
asked = u.Request(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'],
    headers={'Authorization': os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']})
print('keys', json.load(u.urlopen(asked))['AccessKeyId'][:4], flush=True)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Yield three nodes that run containers."""
    folder = Path(tempfile.mkdtemp(prefix="cray", dir="/tmp"))
    folder.chmod(0o711)
    with clusters.running(folder, cpus=4, memory_mib=8_192, has_engine=True) as made:
        yield made


def ran(*argv: str, **given: Any) -> str:
    """Return what a command printed."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        argv, capture_output=True, text=True, timeout=400, check=False, **given
    )
    assert done.returncode == 0, f"{argv[0]}: {done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def image(server: ClaryServer, account: Account, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Push the example's image as a user does; return its name in Clary's registry."""
    podman = ["podman", "--remote", "--url", f"unix://{service.socket_path(server.settings)}"]
    root = tmp_path_factory.mktemp("base") / "base.tar"
    with root.open("wb") as file:
        subprocess.run([sys.executable, EXAMPLE / "base.py"], stdout=file, check=True, timeout=120)
    ran(*podman, "import", str(root), "localhost/byoc-base:1")
    uri = f"{server.url.removeprefix('http://')}/byoc:1"
    ran(*podman, "build", "--quiet", "--file", "Containerfile", "--tag", uri, ".", cwd=EXAMPLE)
    told = account.client("ecr").create_repository(repositoryName="byoc")["repository"]["repositoryUri"]
    ran(*podman, "push", "--tls-verify=false", "--creds", f"AWS:{password_of(account)}", uri)
    return f"{told}:1"


def containers(cluster: Cluster, job: str) -> list[str]:
    """Return the nodes that have a container of a job, ended ones included."""
    return [
        node.name
        for node in cluster.nodes.values()
        for each in Docker(node.engine).ask("GET", "/containers/json", all=1)
        if job[:40] in each["Names"][0]
    ]


def train(
    account: Account, image: str, program: str, more: str = "", *, n_hosts: int = 1, **changes: Any
) -> str:
    """Start a job that runs a program in an image; return its name."""
    bucket = new_bucket(account)
    name = f"job-{bucket}"
    account.client("sagemaker").create_training_job(
        TrainingJobName=name,
        RoleArn=account.role_arn,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File", **RUN},
        Environment={"PROGRAM": program, "MORE": more},
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": n_hosts, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        **changes,
    )
    return name


def test_hosts_on_two_nodes_meet_by_name_and_have_the_role(
    account: Account, cluster: Cluster, image: str
) -> None:
    uri = f"{account.account_id}.dkr.ecr.us-east-1.amazonaws.com/{image.partition('/')[2]}"
    name = train(account, uri, MEET, ROLE, n_hosts=2)
    described = wait_for_job(account, name, limit_s=PATIENCE_S)
    said = lines(account, name)
    assert described["TrainingJobStatus"] == "Completed", (described.get("FailureReason"), said)
    assert any(line.startswith(f"met algo-2 from {cluster.net}.") for line in said), said
    assert {"named algo-1", "named algo-2"} <= set(said)
    assert said.count("keys ASIA") == 2
    until(lambda: not containers(cluster, name), "no container is left")


def test_hosts_without_a_way_out_meet_on_one_node(account: Account, cluster: Cluster, image: str) -> None:
    name = train(account, image, MEET, n_hosts=2, EnableNetworkIsolation=True)
    described = wait_for_job(account, name, limit_s=PATIENCE_S)
    said = lines(account, name)
    assert described["TrainingJobStatus"] == "Completed", (described.get("FailureReason"), said)
    assert any(line.startswith("met algo-2 from ") for line in said), said
    assert not any(f"from {cluster.net}." in line for line in said)


def test_a_container_is_stopped_on_its_node(account: Account, cluster: Cluster, image: str) -> None:
    program = "import signal, time, sys\nsignal.signal(15, lambda *_: sys.exit(print('told')))\n"
    name = train(account, image, program + "print('on', flush=True); time.sleep(600)")
    until(lambda: cluster.where(name) and _has_said(account, name, "on"), "it runs")
    account.client("sagemaker").stop_training_job(TrainingJobName=name)
    assert wait_for_job(account, name, limit_s=PATIENCE_S)["TrainingJobStatus"] == "Stopped"
    assert "told" in lines(account, name)
    until(lambda: not containers(cluster, name), "no container is left")


def _has_said(account: Account, name: str, line: str) -> bool:
    try:
        return line in lines(account, name)
    except ClientError:  # nobody has said anything yet
        return False


def test_an_image_goes_the_whole_way_on_the_nodes(server: ClaryServer, account: Account, image: str) -> None:
    python = ROOT / ".venvs/sdk2/bin/python"
    if not python.exists():
        pytest.skip(f"{python.relative_to(ROOT)} is not there: make test sets it up")
    environment = {**server.env(account), "SAGEMAKER_SUPPRESS_V2_WARNING": "1"}
    said = ran(str(python), "-W", "ignore", str(EXAMPLE / "run.py"), image, env=environment)
    assert "best of the tuning job:" in said
    assert "prediction:" in said
    assert len(said.rpartition("transformed:")[2].split(",")) == 10


def test_traffic_moves_when_the_node_of_a_container_is_gone(
    account: Account, cluster: Cluster, image: str
) -> None:
    job = train(account, image, "open('/opt/ml/model/model.json', 'w').write('{\"means\": [0, 0]}')")
    data = wait_for_job(account, job, limit_s=PATIENCE_S)["ModelArtifacts"]["S3ModelArtifacts"]
    hosting, primary = Hosting.of(account), {"Image": image, "ModelDataUrl": data}
    hosting.sagemaker.create_model(ModelName=job, ExecutionRoleArn=account.role_arn, PrimaryContainer=primary)
    name = hosting.endpoint(hosting.config(hosting.variant(job, InitialInstanceCount=2)))
    node = next(each for each in cluster.where(name) if each != "n1")
    with Crowd(account.client, name, body=b"3,4") as crowd:
        until(lambda: len(crowd.heard) > 40, "clients are answered")
        cluster.kill(node)
        until(lambda: len({*cluster.where(name)} - {node}) == 2, "another node has a replica")
        n_heard = len(crowd.heard)
        until(lambda: len(crowd.heard) > n_heard + 40, "clients are answered again")
    cluster.start(node)
    hosting.close()
    assert {found for *_, found in crowd.heard} <= {"5.000000\n", "503"}
    assert {found for *_, found in crowd.heard[-20:]} == {"5.000000\n"}
