"""Clary on a SeaweedFS of its own machines, of which one is lost in the middle: nothing fails."""

import hashlib
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from botocore.exceptions import ClientError

from clary.testing import seaweed
from clary.testing.jobs import read_object, training_request, upload_csv, wait_for_endpoint, wait_for_job
from clary.testing.server import ClaryServer, end_agents
from clary.testing.transform import Transform, create_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(seaweed.missing()), reason=seaweed.missing()),
]

PART = 6 * 2**20


@pytest.fixture(scope="module")
def cluster():
    with seaweed.cluster(replication="001") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def server(cluster):
    home = Path(tempfile.mkdtemp(prefix="clary-s3-"))
    home.chmod(0o711)  # jobs of other user ids pass
    server = ClaryServer.start(home / "data", **cluster.settings)
    yield server
    server.stop()
    end_agents(server.settings)
    shutil.rmtree(home, ignore_errors=True)


def rows(seed):
    columns = np.random.default_rng(seed).normal(size=(2_000, 8))
    return np.column_stack([columns[:, 0] > 0, columns])


class Writer:
    """Puts and reads objects without rest, on a thread of its own; remembers what was acknowledged."""

    def __init__(self, account, bucket):
        self.client, self.bucket = account.client("s3"), bucket
        self.kept, self.faults = {}, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        n = 0
        while not self.over.wait(0.01):
            key, body = f"written/{n}", hashlib.sha256(str(n).encode()).digest() * 4_000
            try:
                self.client.put_object(Bucket=self.bucket, Key=key, Body=body)
                self.kept[key] = body
                earlier = f"written/{n // 2}"
                assert (
                    self.client.get_object(Bucket=self.bucket, Key=earlier)["Body"].read()
                    == self.kept[earlier]
                )
            except (ClientError, OSError, AssertionError, KeyError) as error:
                self.faults.append(f"{key}: {error!r}")
            n += 1

    def end(self):
        self.over.set()
        self.thread.join()
        for key, body in self.kept.items():
            assert self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read() == body, key


@pytest.fixture
def writing():
    begun = []

    def begin(account, bucket):
        begun.append(Writer(account, bucket))
        return begun[-1]

    yield begin
    for each in begun:
        each.over.set()
        each.thread.join()


def test_training_serving_transform_multipart_and_versions_outlive_a_volume_server(cluster, server, writing):
    account = server.account()
    s3, sagemaker = account.client("s3"), account.client("sagemaker")
    bucket = upload_csv(account, "train/data.csv", rows(1))
    upload_csv(account, "score/data.csv", rows(2)[:, 1:], bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket=bucket, Key="v", Body=text)["VersionId"] for text in (b"one", b"two")]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    pieces = [np.random.default_rng(n).bytes(PART) for n in range(3)]

    def part(n):
        found = s3.upload_part(Bucket=bucket, Key="large", UploadId=upload, PartNumber=n + 1, Body=pieces[n])
        return {"PartNumber": n + 1, "ETag": found["ETag"]}

    parts = [part(0)]
    writer = writing(account, bucket)
    request = training_request(
        account, bucket, hyperparameters={"num_round": "400", "objective": "binary:logistic"}
    )
    sagemaker.create_training_job(**request)
    time.sleep(0.5)
    cluster.kill_volume(1)  # in the middle of the training, of the upload, of writes without rest
    parts += [part(1), part(2)]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="large", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    trained = wait_for_job(account, request["TrainingJobName"], limit_s=120)
    assert trained["TrainingJobStatus"] == "Completed", trained.get("FailureReason")
    artefact = trained["ModelArtifacts"]["S3ModelArtifacts"]
    assert read_object(account, artefact)
    model = create_model(account, artefact)
    variant = {
        "VariantName": "v",
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=model, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=model, EndpointConfigName=model)
    assert wait_for_endpoint(account, model)["EndpointStatus"] == "InService"
    body = b",".join(b"%g" % value for value in rows(2)[0, 1:])
    runtime = account.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=model, ContentType="text/csv", Body=body)
    assert 0.0 <= float(answer["Body"].read()) <= 1.0
    transform = Transform.create(account, model, f"s3://{bucket}/score")
    assert transform.wait()["TransformJobStatus"] == "Completed"
    assert sum(len(body.splitlines()) for body in transform.outputs().values()) == 2_000
    writer.end()
    assert writer.faults == []
    assert len(writer.kept) > 20
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == b"".join(pieces)
    read = [s3.get_object(Bucket=bucket, Key="v", VersionId=each)["Body"].read() for each in versions]
    assert read == [b"one", b"two"]
    s3.delete_object(Bucket=bucket, Key="v")
    listed = s3.list_object_versions(Bucket=bucket, Prefix="v")
    assert [each["VersionId"] for each in listed["Versions"]] == versions[::-1]
    assert len(listed["DeleteMarkers"]) == 1
    sagemaker.delete_endpoint(EndpointName=model)
