"""Two control planes over one PostgreSQL and one Ray cluster: one is lost, the other has its work go on."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.cli import control
from clary.testing import cluster as clusters
from clary.testing import postgres
from clary.testing.cluster import PATIENCE_S, Cluster, lines, until
from clary.testing.deployment import Deployment, deployment
from clary.testing.hosting import Hosting, saying
from clary.testing.jobs import read_object, script_request, upload_script, wait_for_job
from clary.testing.server import Account, ClaryServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.postgres,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(clusters.missing()), reason=clusters.missing() or "there are clusters"),
    pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing()),
]
LOST_S = 25.0
"""Longer than a control plane takes to start on a busy machine."""
N_STEPS = 120
STEPS = f"""
import os, time
mark, folder = os.urandom(4).hex(), "/opt/ml/checkpoints"
first = max((int(name) for name in os.listdir(folder) if name.isdecimal()), default=0)
for n in range(first, {N_STEPS}):
    print("step", mark, n, time.time(), flush=True)
    time.sleep(0.5)
    with open(f"{{folder}}/new", "w") as file: file.write(str(n))
    os.replace(f"{{folder}}/new", f"{{folder}}/{{n + 1}}")
open(os.environ["SM_MODEL_DIR"] + "/end", "w").write("all")
"""


@pytest.fixture(scope="module")
def made(cluster: Cluster) -> Iterator[Deployment]:
    """Yield two control planes whose runs go to the nodes."""
    home = Path(tempfile.mkdtemp(prefix="cray", dir="/tmp"))
    home.chmod(0o711)
    given: dict[str, Any] = {"host": "0.0.0.0", "cluster": str(cluster.file), "cluster_lease_s": "5"}
    try:
        with deployment(home / "d", node_lost_s=str(LOST_S), **given) as found:
            yield found
    finally:
        shutil.rmtree(home, ignore_errors=True)


def of(server: ClaryServer, cluster: Cluster, name: str = "") -> list[str]:
    """Return the nodes with a live host of one control plane, of a job or an endpoint or of all."""
    own = (server.data_dir / "cluster.name").read_text()
    homes = [(node, each) for node in cluster.nodes for each in cluster.hosts(node, f"{name[:40]}*")]
    return [node for node, each in homes if each.parents[3].name == own]


def create(account: Account, bucket: str) -> str:
    """Start a job of a minute that keeps each step; return its name."""
    request = script_request(
        account, bucket, upload_script(account, bucket, STEPS), instance_type="ml.t3.medium"
    )
    name = str(request["TrainingJobName"])
    request["CheckpointConfig"] = {"S3Uri": f"s3://{bucket}/checkpoints/{name}"}
    account.client("sagemaker").create_training_job(**request)
    return name


def attempts(account: Account, name: str) -> list[tuple[list[int], float, float]]:
    """Return the steps of each attempt of a job, its first moment and its last, in order."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in lines(account, name):
        if line.startswith("step "):
            _, mark, n, moment = line.split()
            found.setdefault(mark, []).append((int(n), float(moment)))
    spans = [([n for n, _ in each], each[0][1], each[-1][1]) for each in found.values()]
    return sorted(spans, key=lambda span: span[1])


def test_what_a_lost_control_plane_had_on_the_nodes_goes_on_once(made: Deployment, cluster: Cluster) -> None:
    first, second = made.nodes
    account = first.account()
    hosting = Hosting.of(account)
    for n in range(2):
        hosting.endpoint(hosting.config(hosting.variant(hosting.model(saying(f"word {n}")))))
    jobs = [create(account, hosting.bucket) for _ in range(4)]
    for name in (*jobs, *hosting.endpoints):
        until(lambda name=name: cluster.where(name), f"{name} is on a node")  # type: ignore[misc]
    lost = {name for name in (*jobs, *hosting.endpoints) if of(second, cluster, name)}
    assert lost & set(jobs), "the second has jobs"
    assert lost & set(hosting.endpoints), "the second has an endpoint"
    until(lambda: all(_kept(account, hosting.bucket, name) for name in jobs), "checkpoints are kept")
    made.kill_node(second)
    assert of(second, cluster), "its hosts go on without it"
    for name in jobs:
        described = wait_for_job(account, name, limit_s=PATIENCE_S)
        assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
        told = [each["StatusMessage"] for each in described["SecondaryStatusTransitions"]]
        assert ("Restarting: the host was lost" in told) is (name in lost), (name, told)
        assert read_object(account, described["ModelArtifacts"]["S3ModelArtifacts"])
        spans = attempts(account, name)
        assert len(spans) == 1 + (name in lost), spans
        assert {n for steps, *_ in spans for n in steps} == set(range(N_STEPS))
        if name in lost:
            assert spans[1][0][0] > 0, "it goes on from its checkpoint"
            assert spans[0][2] <= spans[1][1], "it never ran twice at once"
    runtime = account.client("sagemaker-runtime")
    for n, name in enumerate(hosting.endpoints):
        until(lambda name=name, n=n: _answer(runtime, name) == f"word {n}", f"{name} answers")  # type: ignore[misc]
        until(lambda name=name: len(of(first, cluster, name)) == 1, f"{name} has one replica")  # type: ignore[misc]
    assert of(second, cluster) == []
    second = made.again(second)
    until(lambda: not any(each["is_silent"] for each in _nodes(first)), "it is known again")
    assert of(second, cluster) == []
    hosting.close()


def _kept(account: Account, bucket: str, name: str) -> bool:
    listed = account.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"checkpoints/{name}/")
    return "Contents" in listed


def _answer(runtime: Any, name: str) -> str:
    try:
        return str(runtime.invoke_endpoint(EndpointName=name, Body=b"?")["Body"].read().decode())
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 503:
            raise
        return ""


def _nodes(server: ClaryServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = control.ask(server.settings, "GET", "/internal/nodes")["nodes"]
    return found
