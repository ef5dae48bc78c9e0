"""GPUs on the nodes of a Ray cluster: declared by a node, and told to the jobs whose they are."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing import cluster as clusters
from clary.testing.cluster import PATIENCE_S, Cluster, lines, until
from clary.testing.hosting import Hosting
from clary.testing.jobs import new_bucket, script_request, upload_script, wait_for_job
from clary.testing.server import Account

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(clusters.missing()), reason=clusters.missing() or "there are clusters"),
]
ONE, FOUR, EIGHT = "ml.g4dn.xlarge", "ml.g5.12xlarge", "ml.p4d.24xlarge"
SEEN = """
import os, time
print("seen", os.environ.get("CUDA_VISIBLE_DEVICES", "none"), os.environ["SM_NUM_GPUS"], flush=True)
time.sleep({})
"""
SERVED = """
import os
def model_fn(model_dir): return os.environ.get("CUDA_VISIBLE_DEVICES", "none")
def transform_fn(model, data, content_type, accept): return model, "text/plain"
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Yield a head without GPUs, and a node that declares two."""
    folder = Path(tempfile.mkdtemp(prefix="cray", dir="/tmp"))
    folder.chmod(0o711)
    made = Cluster(folder)
    try:
        made.add("n1", cpus=8, memory_mib=8_192)
        made.add("n2", cpus=16, memory_mib=65_536, gpus=2)
        yield made
    finally:
        made.close()


def start(account: Account, kind: str, *, n_hosts: int = 1, work_s: float = 0.0, **changes: Any) -> str:
    """Start a job that prints which GPUs it sees; return its name."""
    bucket = new_bucket(account)
    source = upload_script(account, bucket, SEEN.format(work_s))
    request = script_request(account, bucket, source, instance_type=kind) | changes
    request["ResourceConfig"]["InstanceCount"] = n_hosts
    account.client("sagemaker").create_training_job(**request)
    return str(request["TrainingJobName"])


def seen(account: Account, name: str) -> set[str]:
    """Return what a job's hosts saw, once it has ended."""
    described = wait_for_job(account, name, limit_s=PATIENCE_S)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    return {line for line in lines(account, name) if line.startswith("seen")}


def ready(account: Account, cluster: Cluster) -> None:
    """Wait until the cluster has told what its nodes have: a job has run there."""
    wait_for_job(account, start(account, ONE), limit_s=PATIENCE_S)


def test_jobs_side_by_side_see_one_gpu_each_and_another_one_waits(account: Account, cluster: Cluster) -> None:
    first, second = (start(account, ONE, work_s=15) for _ in range(2))
    until(lambda: cluster.where(first) == cluster.where(second) == ["n2"], "both run on the node with GPUs")
    third = start(account, ONE)
    plain = start(account, "ml.m5.large")
    assert seen(account, plain) == {"seen none 0"}
    assert seen(account, first) | seen(account, second) == {"seen 0 1", "seen 1 1"}
    assert seen(account, third) <= {"seen 0 1", "seen 1 1"}


def test_more_gpus_than_any_node_has_are_refused_at_create(account: Account, cluster: Cluster) -> None:
    ready(account, cluster)
    for kind, n in ((FOUR, 4), (EIGHT, 8)):
        with pytest.raises(ClientError, match=rf"{kind} for training job usage.*{n} GPUs.*has 2") as refused:
            start(account, kind)
        assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"


def test_a_job_whose_node_with_gpus_is_away_waits_and_lets_others_pass(
    account: Account, cluster: Cluster
) -> None:
    ready(account, cluster)
    cluster.kill("n2")
    until(lambda: len(_alive(cluster)) == 1, "the node is gone")
    waits, passes = start(account, ONE), start(account, "ml.m5.large")
    assert wait_for_job(account, passes, limit_s=PATIENCE_S)["TrainingJobStatus"] == "Completed"
    assert not cluster.where(waits)
    cluster.start("n2")
    assert seen(account, waits) <= {"seen 0 1", "seen 1 1"}


def _alive(cluster: Cluster) -> list[str]:
    return [name for name in cluster.nodes if cluster.processes(name)]


def test_replicas_have_a_gpu_each_on_the_node_that_has_them(account: Account, cluster: Cluster) -> None:
    hosting = Hosting.of(account)
    variant = hosting.variant(hosting.model(SERVED), InstanceType=ONE, InitialInstanceCount=2)
    name = f"ep-{hosting.bucket}"
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=hosting.config(variant))
    hosting.endpoints.append(name)
    assert hosting.settled(name, limit_s=PATIENCE_S)["EndpointStatus"] == "InService", hosting.describe(name)
    assert cluster.where(name) == ["n2", "n2"]
    assert set(hosting.shares(name, 20)) == {"0", "1"}
    hosting.close()
    until(lambda: not cluster.where(name), "the replicas have ended")
