"""Archives of customers: none writes outside its folder, or links out of it."""

import io
import tarfile
from typing import Any

import pytest

from clary.kernel import ids
from clary.testing.jobs import SCIKIT_LEARN, new_bucket, script_request, wait_for_endpoint, wait_for_job


def member(name: Any, *, kind: Any = tarfile.REGTYPE, target: Any = "", body: Any = b"") -> Any:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, target, len(body)
    return made, body


BAD = {
    "climbs": [member("../../../../../../tmp/OUT", body=b"x")],
    "absolute": [member("/tmp/OUT", body=b"x")],
    "a-link-out": [member("passwd", kind=tarfile.SYMTYPE, target="/etc/passwd")],
    "a-link-that-climbs": [member("up", kind=tarfile.SYMTYPE, target="../../../../../..")],
    "through-a-link": [member("d", kind=tarfile.SYMTYPE, target="/tmp"), member("d/OUT", body=b"x")],
    "a-hard-link-out": [member("shadow", kind=tarfile.LNKTYPE, target="/etc/shadow")],
    "a-device": [member("disk", kind=tarfile.BLKTYPE)],
    "a-pipe": [member("pipe", kind=tarfile.FIFOTYPE)],
}


def packed(name: Any, mark: Any) -> Any:
    """Return the archive; OUT is the mark."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for text in ("train.py", "inference.py"):
            made, body = member(text, body=b"print('ran')")
            archive.addfile(made, io.BytesIO(body))
        for made, body in BAD[name]:
            archive.addfile(made.replace(name=made.name.replace("OUT", mark)), io.BytesIO(body))
    return target.getvalue()


def is_refused(reason: Any, uri: Any) -> Any:
    assert uri in reason, reason
    assert "Traceback" not in reason


@pytest.mark.parametrize("name", BAD)
def test_a_source_archive_that_reaches_outside_fails_the_job(clary_server, name, tmp_path):
    account = clary_server.account()
    bucket = new_bucket(account)
    mark = f"clary-{ids.short()}"
    account.client("s3").put_object(Bucket=bucket, Key="s.tar.gz", Body=packed(name, mark))
    request = script_request(account, bucket, f"s3://{bucket}/s.tar.gz")
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"])
    assert described["TrainingJobStatus"] == "Failed"
    is_refused(described["FailureReason"], f"s3://{bucket}/s.tar.gz")
    assert not (tmp_path.parents[-1] / "tmp" / mark).exists()


@pytest.mark.parametrize("name", ["climbs", "a-link-out"])
def test_a_model_archive_that_reaches_outside_fails_the_endpoint(clary_server, name, tmp_path):
    account = clary_server.account()
    bucket = new_bucket(account)
    mark = f"clary-{ids.short()}"
    account.client("s3").put_object(Bucket=bucket, Key="m.tar.gz", Body=packed(name, mark))
    client = account.client("sagemaker")
    label = f"bad-{ids.short()}"
    container = {
        "Image": SCIKIT_LEARN,
        "ModelDataUrl": f"s3://{bucket}/m.tar.gz",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }
    client.create_model(ModelName=label, PrimaryContainer=container, ExecutionRoleArn=account.role_arn)
    variant = {
        "VariantName": "all",
        "ModelName": label,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    client.create_endpoint_config(EndpointConfigName=label, ProductionVariants=[variant])
    client.create_endpoint(EndpointName=label, EndpointConfigName=label)
    described = wait_for_endpoint(account, label)
    client.delete_endpoint(EndpointName=label)
    assert described["EndpointStatus"] == "Failed"
    is_refused(described["FailureReason"], f"s3://{bucket}/m.tar.gz")
    assert not (tmp_path.parents[-1] / "tmp" / mark).exists()
