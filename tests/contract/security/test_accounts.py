"""The account is the wall: nothing of another one is seen, changed, read or written, whatever names it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import ScriptJob, channel, new_bucket, script_request, upload_script


@pytest.fixture(scope="module")
def theirs(clary_server):
    """Return another account's completed job, with a tag."""
    job = ScriptJob.create(clary_server.account(), "pass")
    arn = job.completed()["TrainingJobArn"]
    job.account.client("sagemaker").add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "secret"}])
    job.account.client("s3").put_object(Bucket=job.bucket, Key="data/rows.csv", Body=b"1,2")
    return job


@pytest.fixture
def mine(clary_server):
    return clary_server.account()


def denied(call: Any, *codes: Any) -> Any:
    with pytest.raises(ClientError) as error:
        call()
    answer = error.value.response
    assert 400 <= answer["ResponseMetadata"]["HTTPStatusCode"] < 500
    assert not codes or answer["Error"]["Code"] in codes, answer["Error"]
    return answer["Error"]["Message"]


def test_the_arn_of_another_accounts_job_opens_nothing(theirs, mine):
    client = mine.client("sagemaker")
    arn = theirs.completed()["TrainingJobArn"]
    for call in (
        lambda: client.list_tags(ResourceArn=arn),
        lambda: client.add_tags(ResourceArn=arn, Tags=[{"Key": "mine", "Value": "1"}]),
        lambda: client.delete_tags(ResourceArn=arn, TagKeys=["team"]),
    ):
        assert "secret" not in denied(call)
    kept = theirs.account.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]
    assert kept == [{"Key": "team", "Value": "secret"}]


def test_the_name_of_another_accounts_job_is_unknown(theirs, mine):
    client = mine.client("sagemaker")
    for name in (
        "describe_training_job", "stop_training_job", "delete_training_job", "update_training_job",
    ):  # fmt: skip
        call = getattr(client, name)
        assert theirs.bucket not in denied(lambda call=call: call(TrainingJobName=theirs.name))
    assert client.list_training_jobs()["TrainingJobSummaries"] == []
    assert client.search(Resource="TrainingJob")["Results"] == []
    assert theirs.completed()


def test_another_accounts_logs_and_metrics_are_not_seen(theirs, mine):
    logs = mine.client("logs")
    denied(
        lambda: logs.filter_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=theirs.name
        ),
        "ResourceNotFoundException",
    )
    assert logs.describe_log_groups()["logGroups"] == []
    assert mine.client("cloudwatch").list_metrics()["Metrics"] == []


def test_another_accounts_bucket_is_closed_to_every_verb(theirs, mine):
    s3, bucket, key = mine.client("s3"), theirs.bucket, "data/rows.csv"
    own = new_bucket(mine)
    source = {"Bucket": bucket, "Key": key}
    for call in (
        lambda: s3.get_object(Bucket=bucket, Key=key),
        lambda: s3.put_object(Bucket=bucket, Key="mine", Body=b"x"),
        lambda: s3.list_objects_v2(Bucket=bucket),
        lambda: s3.list_object_versions(Bucket=bucket),
        lambda: s3.delete_object(Bucket=bucket, Key=key),
        lambda: s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]}),
        lambda: s3.delete_bucket(Bucket=bucket),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="mine"),
        lambda: s3.put_bucket_policy(Bucket=bucket, Policy="{}"),
        lambda: s3.copy_object(Bucket=own, Key="copy", CopySource=source),
        lambda: s3.upload_part_copy(Bucket=own, Key="part", CopySource=source, PartNumber=1, UploadId="none"),
    ):
        denied(call)
    denied(lambda: s3.head_object(Bucket=bucket, Key=key), "403")
    denied(lambda: s3.create_bucket(Bucket=bucket), "BucketAlreadyExists")
    assert "Contents" not in s3.list_objects_v2(Bucket=own)
    assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == [own]
    body = theirs.account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert body == b"1,2"


def failed(account: Any, **members: Any) -> Any:
    described = ScriptJob.create(account, "print('ran')", **members).wait()
    assert described["TrainingJobStatus"] == "Failed"
    return described["FailureReason"]


def test_a_job_reads_no_input_from_another_accounts_bucket(theirs, mine):
    reason = failed(mine, InputDataConfig=[channel(theirs.bucket, "data")])
    assert reason.startswith("ClientError:")
    assert theirs.bucket in reason


def test_a_job_writes_no_output_to_another_accounts_bucket(theirs, mine):
    reason = failed(mine, OutputDataConfig={"S3OutputPath": f"s3://{theirs.bucket}/stolen"})
    assert reason.startswith("ClientError:")
    assert theirs.bucket in reason
    listed = theirs.account.client("s3").list_objects_v2(Bucket=theirs.bucket, Prefix="stolen")
    assert listed["KeyCount"] == 0


def test_a_job_takes_no_source_nor_checkpoint_from_another_accounts_bucket(theirs, mine):
    reason = failed(mine, CheckpointConfig={"S3Uri": f"s3://{theirs.bucket}/data"})
    assert theirs.bucket in reason
    source = upload_script(theirs.account, theirs.bucket, "pass")
    job = ScriptJob(mine, own := new_bucket(mine), "")
    request = script_request(mine, own, source)
    mine.client("sagemaker").create_training_job(**request)
    described = ScriptJob(job.account, own, request["TrainingJobName"]).wait()
    assert described["TrainingJobStatus"] == "Failed"
    assert theirs.bucket in described["FailureReason"]


def test_a_role_of_another_account_is_not_passed(theirs, mine):
    message = denied(lambda: ScriptJob.create(mine, "pass", RoleArn=theirs.account.role_arn))
    assert theirs.account.role_arn in message
