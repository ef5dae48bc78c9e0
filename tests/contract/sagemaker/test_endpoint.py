"""Model, EndpointConfig, Endpoint and InvokeEndpoint through boto3 against a live server."""

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from sklearn.datasets import load_breast_cancer

from clary.cli import agents
from clary.kernel import ids
from clary.testing.hosting import Hosting, saying
from clary.testing.jobs import XGBOOST, training_request, upload_csv, wait_for_endpoint, wait_for_job


@pytest.fixture(scope="module")
def cancer():
    loaded = load_breast_cancer()
    return np.column_stack([loaded.target, loaded.data])


@pytest.fixture(scope="module")
def trained(clary_server, cancer):
    """Return an account with the artefact of a completed job."""
    account = clary_server.account()
    bucket = upload_csv(account, "train/data.csv", cancer[:400])
    request = training_request(account, bucket)
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"])
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    return account, bucket, described["ModelArtifacts"]["S3ModelArtifacts"]


def create_endpoint(account, artefact, *, variants=1):
    sagemaker = account.client("sagemaker")
    name = f"ep-{ids.short()}"
    sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": XGBOOST, "ModelDataUrl": artefact},
        ExecutionRoleArn=account.role_arn,
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": f"v{n}",
                "ModelName": name,
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 1.0,
            }
            for n in range(variants)
        ],
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return name


@pytest.fixture(scope="module")
def endpoint(trained):
    account, _bucket, artefact = trained
    name = create_endpoint(account, artefact)
    described = wait_for_endpoint(account, name)
    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
    return account, name


def test_a_built_in_model_is_in_service_at_the_clients_first_look(trained):
    account, _bucket, artefact = trained
    for _ in range(5):  # a look waits 0.8 s, which a machine that is busy may need for itself
        name = create_endpoint(account, artefact)
        described = account.client("sagemaker").describe_endpoint(EndpointName=name)
        if described["EndpointStatus"] != "Creating":
            break
    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_it_predicts_what_the_plain_library_predicts(endpoint, cancer):
    account, name = endpoint
    rows = cancer[400:420, 1:]
    body = "\n".join(",".join(f"{value:.6g}" for value in row) for row in rows)
    answer = account.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name, ContentType="text/csv", Body=body.encode(), CustomAttributes="trace=1"
    )
    assert answer["ContentType"].startswith("text/csv")
    assert answer["InvokedProductionVariant"] in {"v0", "v1"}  # an update may have come before
    scores = np.array(answer["Body"].read().decode().replace("\n", ",").strip(",").split(","), dtype=float)
    assert scores.shape == (20,)
    assert ((scores > 0.5) == cancer[400:420, 0]).mean() > 0.8


def test_an_unknown_endpoint_is_a_validation_error(trained):
    account, _bucket, _artefact = trained
    with pytest.raises(ClientError, match=r"Endpoint nobody of account .* not found") as missing:
        account.client("sagemaker-runtime").invoke_endpoint(EndpointName="nobody", Body=b"1")
    assert missing.value.response["Error"]["Code"] == "ValidationError"


def test_a_body_the_model_cannot_read_is_a_model_error_with_its_own_words(endpoint):
    account, name = endpoint
    with pytest.raises(ClientError) as refused:
        account.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=name, ContentType="application/x-nonsense", Body=b"\x00"
        )
    response: Mapping[str, Any] = refused.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["OriginalStatusCode"] in {400, 415}
    assert response["LogStreamArn"].startswith("arn:aws:logs:")
    assert "nonsense" in response["OriginalMessage"]


def test_an_update_moves_to_the_other_configuration_without_a_dropped_request(endpoint, trained):
    account, name = endpoint
    _account, _bucket, artefact = trained
    other = create_endpoint(account, artefact, variants=2)
    sagemaker, runtime = account.client("sagemaker"), account.client("sagemaker-runtime")
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=other)
    seen = set()
    row = ",".join(["1"] * 30).encode()
    for _ in range(400):
        answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=row)
        seen.add(answer["InvokedProductionVariant"])
        described = sagemaker.describe_endpoint(EndpointName=name)
        if described["EndpointStatus"] == "InService" and seen >= {"v0", "v1"}:
            break
    assert described["EndpointConfigName"] == other
    assert seen >= {"v0", "v1"}


def test_deleting_frees_the_name(trained):
    account, _bucket, artefact = trained
    sagemaker = account.client("sagemaker")
    name = create_endpoint(account, artefact)
    wait_for_endpoint(account, name)
    sagemaker.delete_endpoint(EndpointName=name)
    waiter = sagemaker.get_waiter("endpoint_deleted")
    waiter.wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)
    with pytest.raises(ClientError, match="Could not find model") as missing:
        sagemaker.describe_model(ModelName=name)
    assert missing.value.response["Error"]["Code"] == "ValidationException"


def test_what_does_not_behave_yet_is_refused_by_name(trained):
    account, _bucket, _artefact = trained
    sagemaker = account.client("sagemaker")
    with pytest.raises(ClientError, match="does not serve sagemaker:CreateLabelingJob") as refused:
        sagemaker.create_labeling_job(
            LabelingJobName="x",
            LabelAttributeName="y",
            InputConfig={"DataSource": {"S3DataSource": {"ManifestS3Uri": "s3://b/m"}}},
            OutputConfig={"S3OutputPath": "s3://b/o"},
            RoleArn=account.role_arn,
            HumanTaskConfig={
                "WorkteamArn": "arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd/x",
                "UiConfig": {"UiTemplateS3Uri": "s3://b/t"},
                "TaskTitle": "t",
                "TaskDescription": "d",
                "NumberOfHumanWorkersPerDataObject": 1,
                "TaskTimeLimitInSeconds": 60,
            },
        )
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def replicas_of(server, name):
    return {each.run_id: each.pid for each in agents.alive(server.settings) if each.run_id.startswith(name)}


def test_a_replica_that_is_killed_is_replaced(clary_server, trained):
    account, _bucket, artefact = trained
    name = create_endpoint(account, artefact)
    wait_for_endpoint(account, name)
    before = replicas_of(clary_server, name)
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not set(replicas_of(clary_server, name)) - set(before):
        time.sleep(0.1)
    assert len(set(replicas_of(clary_server, name)) - set(before)) == 1
    runtime = account.client(
        "sagemaker-runtime", config=Config(retries={"total_max_attempts": 8}, proxies={})
    )
    row = ",".join(["1"] * 30).encode()
    answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=row)
    assert answer["Body"].read()
    account.client("sagemaker").delete_endpoint(EndpointName=name)


def test_a_replica_that_is_killed_before_it_serves_is_replaced_by_another_run(clary_server):
    hosting = Hosting.of(clary_server.account())
    slow = "import time\ntime.sleep(1)\n" + saying("here")
    name = f"early-{ids.short()}"
    config = hosting.config(hosting.variant(hosting.model(slow)))
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    deadline = time.monotonic() + 60
    while not (first := replicas_of(clary_server, name)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for pid in first.values():
        os.kill(pid, signal.SIGKILL)
    assert hosting.settled(name)["EndpointStatus"] == "InService"
    assert not set(replicas_of(clary_server, name)) & set(first)
    assert hosting.ask(name) == "here"
    hosting.sagemaker.delete_endpoint(EndpointName=name)
