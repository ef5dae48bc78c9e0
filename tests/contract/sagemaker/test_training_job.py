"""TrainingJob through boto3 against a live server: built-in XGBoost on real data, end to end."""

import io
import json
import tarfile
import time

import numpy as np
import pytest
from botocore.exceptions import ClientError
from sklearn.datasets import load_breast_cancer

from clary.compute import machine
from clary.testing.jobs import (
    TERMINAL,
    training_request,
    upload_csv,
    wait_for_job,
)


@pytest.fixture(scope="module")
def data():
    cancer = load_breast_cancer()
    return np.column_stack([cancer.target, cancer.data])


@pytest.fixture
def job(clary_server, data):
    """Return a completed job's description with its clients."""
    account = clary_server.account()
    bucket = upload_csv(account, "train/data.csv", data[:400], bucket=None)
    upload_csv(account, "validation/data.csv", data[400:], bucket=bucket)
    request = training_request(account, bucket, channels=("train", "validation"))
    account.client("sagemaker").create_training_job(**request)
    return account, bucket, wait_for_job(account, request["TrainingJobName"])


def test_a_built_in_xgboost_job_completes_and_says_everything_the_sdks_index(job):
    _account, bucket, described = job
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert described["SecondaryStatus"] == "Completed"
    assert [each["Status"] for each in described["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    name = described["TrainingJobName"]
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/out/{name}/output/model.tar.gz"
    assert described["OutputDataConfig"]["KmsKeyId"] == ""
    assert described["TrainingTimeInSeconds"] >= 1
    assert described["TrainingStartTime"] <= described["TrainingEndTime"]
    assert {"validation:auc", "train:auc"} <= {
        each["MetricName"] for each in described["FinalMetricDataList"]
    }


def test_the_artefact_opens_with_the_plain_library(job, tmp_path, data):
    xgboost = pytest.importorskip("xgboost")
    account, bucket, described = job
    key = described["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{bucket}/")
    body = account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
        archive.extract("xgboost-model", tmp_path, filter="data")
    booster = xgboost.Booster(model_file=str(tmp_path / "xgboost-model"))
    scores = booster.inplace_predict(data[400:, 1:].astype(np.float32))
    accuracy = float(((scores > 0.5) == data[400:, 0]).mean())
    assert accuracy > 0.9


def test_its_log_lines_are_read_from_its_stream(job):
    account, _bucket, described = job
    logs = account.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix=described["TrainingJobName"] + "/"
    )
    assert "nextToken" not in streams
    (stream,) = streams["logStreams"]
    assert stream["logStreamName"].startswith(described["TrainingJobName"] + "/algo-1-")
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )
    text = [event["message"] for event in events["events"]]
    assert any("[0]" in line and "train-auc:" in line for line in text)
    again = logs.get_log_events(
        logGroupName=group,
        logStreamName=stream["logStreamName"],
        startFromHead=True,
        nextToken=events["nextForwardToken"],
    )
    assert again["events"] == []
    assert again["nextForwardToken"] == events["nextForwardToken"]
    found = logs.filter_log_events(
        logGroupName=group, logStreamNamePrefix=described["TrainingJobName"] + "/", filterPattern="validation"
    )
    assert all("validation" in event["message"] for event in found["events"])
    assert found["events"]


def test_its_metrics_are_read_through_cloudwatch(job):
    account, _bucket, described = job
    dimensions = [{"Name": "TrainingJobName", "Value": described["TrainingJobName"]}]
    cloudwatch = account.client("cloudwatch")
    listed = cloudwatch.list_metrics(Namespace="/aws/sagemaker/TrainingJobs", Dimensions=dimensions)
    assert "validation:auc" in {metric["MetricName"] for metric in listed["Metrics"]}
    answer = cloudwatch.get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="validation:auc",
        Dimensions=dimensions,
        StartTime=described["TrainingStartTime"],
        EndTime=time.time() + 60,
        Period=60,
        Statistics=["Average", "SampleCount"],
    )
    assert sum(point["SampleCount"] for point in answer["Datapoints"]) == 10
    assert all(0.5 < point["Average"] <= 1 for point in answer["Datapoints"])


def test_a_bad_hyperparameter_fails_the_job_with_its_name_and_what_is_allowed(clary_server, data):
    account = clary_server.account()
    bucket = upload_csv(account, "train/data.csv", data[:50])
    request = training_request(account, bucket, hyperparameters={"num_round": "5", "eta": "7"})
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"])
    assert described["TrainingJobStatus"] == "Failed"
    assert "eta" in described["FailureReason"]
    assert "7" in described["FailureReason"]


def test_an_empty_channel_fails_the_job_with_the_channels_uri(clary_server, data):
    account = clary_server.account()
    bucket = upload_csv(account, "elsewhere/data.csv", data[:50])
    request = training_request(account, bucket)
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"])
    assert described["TrainingJobStatus"] == "Failed"
    assert f"s3://{bucket}/train" in described["FailureReason"]


def test_stopping_a_job_ends_it_as_stopped(clary_server, data):
    account = clary_server.account()
    bucket = upload_csv(account, "train/data.csv", data)
    request = training_request(account, bucket, hyperparameters={"num_round": "200000", "max_depth": "8"})
    client = account.client("sagemaker")
    client.create_training_job(**request)
    wait_for_job(account, request["TrainingJobName"], until={"Training", *TERMINAL})
    client.stop_training_job(TrainingJobName=request["TrainingJobName"])
    described = wait_for_job(account, request["TrainingJobName"])
    assert described["TrainingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="is in status Stopped"):
        client.stop_training_job(TrainingJobName=request["TrainingJobName"])


def test_the_time_limit_ends_a_job_as_max_runtime_exceeded(clary_server, data):
    account = clary_server.account()
    bucket = upload_csv(account, "train/data.csv", data)
    request = training_request(account, bucket, hyperparameters={"num_round": "200000", "max_depth": "8"})
    request["StoppingCondition"] = {"MaxRuntimeInSeconds": 2}
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"])
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_second_job_of_one_name_is_refused_in_the_services_words(job):
    account, bucket, described = job
    request = training_request(account, bucket)
    request["TrainingJobName"] = described["TrainingJobName"]
    with pytest.raises(ClientError, match="must be unique within an AWS account") as refused:
        account.client("sagemaker").create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"


def test_a_missing_job_is_a_validation_exception(clary_server):
    client = clary_server.account().client("sagemaker")
    with pytest.raises(ClientError, match="Requested resource not found") as missing:
        client.describe_training_job(TrainingJobName="nobody")
    assert missing.value.response["Error"]["Code"] == "ValidationException"


def test_jobs_are_tagged_listed_found_and_deleted(job):
    account, _bucket, described = job
    client = account.client("sagemaker")
    arn = described["TrainingJobArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "fraud"}])
    assert {"Key": "team", "Value": "fraud"} in client.list_tags(ResourceArn=arn)["Tags"]
    listed = client.list_training_jobs(
        NameContains=described["TrainingJobName"][:8], StatusEquals="Completed"
    )
    assert [each["TrainingJobName"] for each in listed["TrainingJobSummaries"]] == [
        described["TrainingJobName"]
    ]
    found = client.search(
        Resource="TrainingJob",
        SearchExpression={
            "Filters": [
                {"Name": "Tags.team", "Operator": "Equals", "Value": "fraud"},
                {"Name": "HyperParameters.num_round", "Operator": "Equals", "Value": "10"},
            ]
        },
    )
    assert [each["TrainingJob"]["TrainingJobArn"] for each in found["Results"]] == [arn]
    client.delete_training_job(TrainingJobName=described["TrainingJobName"])
    with pytest.raises(ClientError, match="Requested resource not found"):
        client.describe_training_job(TrainingJobName=described["TrainingJobName"])


def test_an_image_that_no_engine_runs_is_refused_at_create(clary_server, data):
    account = clary_server.account()
    bucket = upload_csv(account, "train/data.csv", data[:50])
    request = training_request(account, bucket)
    request["AlgorithmSpecification"]["TrainingImage"] = "registry.example.com/mine:1"
    with pytest.raises(ClientError, match=r"registry\.example\.com/mine:1"):
        account.client("sagemaker").create_training_job(**request)
    assert json.dumps(account.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]) == "[]"


def test_an_instance_type_with_gpus_is_refused_where_there_are_none(clary_server, data):
    if machine.gpus():
        pytest.skip("this machine has GPUs")
    account = clary_server.account()
    bucket = upload_csv(account, "train/data.csv", data[:50])
    request = training_request(account, bucket)
    request["ResourceConfig"]["InstanceType"] = "ml.p3.2xlarge"
    with pytest.raises(ClientError, match=r"ml\.p3\.2xlarge for training job usage") as refused:
        account.client("sagemaker").create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"
