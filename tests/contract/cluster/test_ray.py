"""Jobs on a Ray cluster of three nodes in network namespaces: what they see, and what failures do to them."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from clary.testing import cluster as clusters
from clary.testing.cluster import PATIENCE_S, Cluster, lines, until
from clary.testing.hosting import Hosting, saying
from clary.testing.jobs import new_bucket, script_request, upload_script, wait_for_job
from clary.testing.server import Account, ClaryServer, end_agents

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(clusters.missing()), reason=clusters.missing() or "there are clusters"),
]
SMALL = "ml.t3.medium"
MEET = """
import os, socket, boto3
me, port = os.environ["SM_CURRENT_HOST"], 7171
if me == "algo-1":
    server = socket.create_server((socket.gethostbyname(me), port))
    line = server.accept()[0]
    print("met", line.recv(9).decode(), "from", line.getpeername()[0], flush=True)
else:
    for _ in range(600):
        try: socket.create_connection(("algo-1", port)).sendall(me.encode()); break
        except OSError: __import__("time").sleep(0.1)
print("role", boto3.client("sts").get_caller_identity()["Arn"].rpartition("/")[2], flush=True)
open(os.environ["SM_MODEL_DIR"] + "/" + me, "w").write(me)
"""
STEPS = """
import os, time
folder = "/opt/ml/checkpoints"
first = max((int(name) for name in os.listdir(folder) if name.isdecimal()), default=0)
print("from", first, flush=True)
for n in range(first, 60):
    time.sleep(0.25)
    with open(f"{folder}/new", "w") as file: file.write(str(n))
    os.replace(f"{folder}/new", f"{folder}/{n + 1}")
"""


def start(account: Account, text: str, *, n_hosts: int = 1, **changes: Any) -> str:
    """Start a job of a script; return its name."""
    bucket = new_bucket(account)
    request = script_request(account, bucket, upload_script(account, bucket, text), instance_type=SMALL)
    request["ResourceConfig"]["InstanceCount"] = n_hosts
    if changes.pop("is_saved", False):
        request["CheckpointConfig"] = {"S3Uri": f"s3://{bucket}/checkpoints"}
    account.client("sagemaker").create_training_job(**request | changes)
    return str(request["TrainingJobName"])


def saved(account: Account, name: str) -> bool:
    """Say whether a job's first checkpoint is kept."""
    uri = account.client("sagemaker").describe_training_job(TrainingJobName=name)["CheckpointConfig"]["S3Uri"]
    bucket = uri.removeprefix("s3://").partition("/")[0]
    return "Contents" in account.client("s3").list_objects_v2(Bucket=bucket, Prefix="checkpoints/")


def test_hosts_on_two_nodes_meet_by_name_and_have_the_role(account: Account) -> None:
    name = start(account, MEET, n_hosts=2)
    described = wait_for_job(account, name, limit_s=PATIENCE_S)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    said = lines(account, name)
    assert any(line.startswith("met algo-2 from 10.77.") for line in said)
    assert said.count("role SageMaker") == 2


def test_a_job_stops_when_it_is_asked_to(account: Account, cluster: Cluster) -> None:
    name = start(account, "import time; time.sleep(600)")
    until(lambda: cluster.where(name), "the job runs")
    account.client("sagemaker").stop_training_job(TrainingJobName=name)
    assert wait_for_job(account, name, limit_s=PATIENCE_S)["TrainingJobStatus"] == "Stopped"


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_job_goes_on_from_its_checkpoint_when_its_node_is_gone(
    account: Account, cluster: Cluster, is_cut: bool
) -> None:
    def running_elsewhere() -> str | None:
        return next((each for each in cluster.where(name) if each != "n1"), None)

    for name in (start(account, STEPS, is_saved=True) for _ in range(6)):
        until(lambda: cluster.where(name), "the job runs")  # noqa: B023 - called at once
        if running_elsewhere():
            break
    node = running_elsewhere()
    assert node, "of six jobs one runs on another node than the head's"
    until(lambda: saved(account, name), "a checkpoint is in its bucket")
    if is_cut:
        cluster.cut(node)
    else:
        cluster.kill(node)
    described = wait_for_job(account, name, limit_s=PATIENCE_S)
    if is_cut:  # it has ended its own agents by then
        agents = cluster.nodes[node].folder.glob(f"c/*/runs/{name[:40]}-*/hosts/algo-1/pid")
        assert not [each for each in agents if _lives(each)]
        cluster.cut(node, is_cut=False)
        cluster.kill(node)
    cluster.start(node)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert "Restarting" in {each["Status"] for each in described["SecondaryStatusTransitions"]}
    firsts = [int(line.split()[1]) for line in lines(account, name) if line.startswith("from ")]
    assert len(firsts) == 2
    assert firsts[1] > 0


def _lives(path: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(path.read_text().split()[0]), 0)
        return True
    return False


def test_what_was_running_starts_again_when_the_head_is_back(account: Account, cluster: Cluster) -> None:
    name = start(account, STEPS, is_saved=True)
    until(lambda: cluster.where(name), "the job runs")
    for node in cluster.nodes:
        cluster.kill(node)
    for node in cluster.nodes:
        cluster.start(node)
    described = wait_for_job(account, name, limit_s=PATIENCE_S)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")


def test_the_nodes_are_shown(cluster: Cluster) -> None:
    assert clary("cluster", "status", "--json", CLARY_CLUSTER=str(cluster.file)).count('"address"') == 3


def clary(*words: str, **environ: str) -> str:
    """Return what a command printed."""
    done = subprocess.run(
        [sys.executable, "-m", "clary.cli.main", *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_gang_waits_whole_while_a_node_is_away(account: Account, cluster: Cluster) -> None:
    cluster.kill("n3")
    name = start(account, "print('here', flush=True)", n_hosts=3)
    until_s = time.monotonic() + 12
    while time.monotonic() < until_s:
        assert not cluster.where(name)
        time.sleep(0.2)
    cluster.start("n3")
    described = wait_for_job(account, name, limit_s=PATIENCE_S)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert lines(account, name).count("here") == 3


def test_a_job_passes_a_gang_that_waits_for_a_busy_node(account: Account, cluster: Cluster) -> None:
    until(lambda: all(map(cluster.is_kept, cluster.nodes)), "every node can be begun at")
    one = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}  # all of a node
    long = start(account, "import time; time.sleep(600)", ResourceConfig=one)
    until(lambda: cluster.where(long), "a node is busy")
    gang = start(account, "print('here', flush=True)", ResourceConfig={**one, "InstanceCount": 3})
    passes = start(account, "print('passed', flush=True)")
    assert wait_for_job(account, passes, limit_s=PATIENCE_S)["TrainingJobStatus"] == "Completed"
    assert not cluster.where(gang)
    account.client("sagemaker").stop_training_job(TrainingJobName=long)
    described = wait_for_job(account, gang, limit_s=PATIENCE_S)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")


def test_down_with_jobs_ends_what_is_on_the_nodes(cluster: Cluster) -> None:
    folder = Path(tempfile.mkdtemp(prefix="cray", dir="/tmp"))
    server = ClaryServer.start(folder / "d", host=f"{cluster.net}.254", cluster=str(cluster.file))
    try:
        account = server.account()
        hosting = Hosting.of(account)
        job = start(account, "import time; time.sleep(600)")
        model = hosting.variant(hosting.model(saying("here")))
        endpoint = f"ep-{job}"
        hosting.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=hosting.config(model))
        until(lambda: cluster.where(job) and cluster.where(endpoint), "both are on a node")
        done = clary("down", "--jobs", CLARY_DATA_DIR=str(folder / "d"))
        assert "1 job and 1 endpoint replica" in done
        assert "go on" not in done
        assert not cluster.where(job)
        assert not cluster.where(endpoint)
    finally:
        server.stop()
        end_agents(server.settings)
        shutil.rmtree(folder, ignore_errors=True)
