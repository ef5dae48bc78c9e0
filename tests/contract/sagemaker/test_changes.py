"""Changes of running resources through boto3: at once, too late, and what is shown meanwhile."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import XGBOOST, new_bucket, training_request, upload_csv, wait_for_job


@pytest.fixture
def account(clary_server):
    return clary_server.account()


def test_changes_of_a_job_at_once_are_all_kept_and_none_is_a_fault(account):
    client = account.client("sagemaker")
    bucket = upload_csv(account, "train/data.csv", np.random.default_rng(2).integers(0, 2, (50, 3)))
    request = training_request(account, bucket)
    name = request["TrainingJobName"]
    client.create_training_job(**request)

    def update(n):
        settings = {"ResourceConfig": {"KeepAlivePeriodInSeconds": 60 + n}}
        return client.update_training_job(TrainingJobName=name, **settings)["TrainingJobArn"]

    with ThreadPoolExecutor(6) as pool:
        arns = set(pool.map(update, range(18)))  # while the job itself moves on
    assert len(arns) == 1
    described = wait_for_job(account, name)
    assert described["TrainingJobStatus"] == "Completed"
    assert 60 <= described["ResourceConfig"]["KeepAlivePeriodInSeconds"] < 78
    assert described["ResourceConfig"]["InstanceType"] == "ml.m5.large"
    with pytest.raises(ClientError, match="only a running training job") as refused:
        client.update_training_job(TrainingJobName=name, RemoteDebugConfig={"EnableRemoteDebug": True})
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="rejected because the training job is in status Completed"):
        client.stop_training_job(TrainingJobName=name)


def test_an_endpoint_shows_the_deployment_in_progress_and_no_other(account):
    client = account.client("sagemaker")
    s3, where = account.client("s3"), {"Bucket": new_bucket(account), "Key": "model.tar.gz"}
    s3.put_object(**where, Body=b"")
    container = {"Image": XGBOOST, "ModelDataUrl": f"s3://{where['Bucket']}/{where['Key']}"}
    client.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=account.role_arn)
    s3.delete_object(**where)
    variant = {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    client.create_endpoint(EndpointName="e", EndpointConfigName="c")
    pending, described = None, client.describe_endpoint(EndpointName="e")
    while described["EndpointStatus"] == "Creating":
        pending = described.get("PendingDeploymentSummary")
        assert pending is not None
        assert pending["EndpointConfigName"] == "c"
        (shown,) = pending["ProductionVariants"]
        assert (shown["VariantName"], shown["DesiredInstanceCount"], shown["CurrentInstanceCount"]) == (
            "a",
            2,
            0,
        )
        described = client.describe_endpoint(EndpointName="e")
    assert described["EndpointStatus"] == "Failed"  # its data is gone
    assert container["ModelDataUrl"] in described["FailureReason"]
    assert "PendingDeploymentSummary" not in described
    client.delete_endpoint(EndpointName="e")


def test_a_model_with_two_kinds_of_data_is_refused(account):
    source = {"S3Uri": "s3://a/b/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {"Image": XGBOOST, "ModelDataUrl": "s3://a/b", "ModelDataSource": {"S3DataSource": source}}
    with pytest.raises(ClientError, match="ModelDataUrl or ModelDataSource, not both"):
        account.client("sagemaker").create_model(ModelName="m", PrimaryContainer=container)
