"""Batch transform through boto3 against a live server."""

import gzip
import json
import re
import time

import numpy as np
import pytest
from botocore.exceptions import ClientError

from clary.kernel import ids
from clary.testing.jobs import training_request, upload_csv, wait_for_job
from clary.testing.transform import (
    GROUP,
    Transform,
    create_model,
    script_container,
    upload,
)
from clary.toolkit import recordio

ECHO = """
import json, os

def model_fn(folder):
    return None

def input_fn(body, content_type):
    return body if isinstance(body, bytes) else body.encode()

def predict_fn(body, model):
    if b"slow" in body:
        import time; print("slowly", flush=True); time.sleep(60)
    if b"refuse" in body:
        error = ValueError("I will not"); error.status_code = 400; raise error
    if b"fail" in body:
        print("failing over", body, flush=True)
        raise RuntimeError("I cannot")
    return body

def output_fn(body, accept):
    names = ("MINE", "SAGEMAKER_MAX_PAYLOAD_IN_MB", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS")
    names = [name for name in os.environ if name in names or name.startswith("SAGEMAKER_BATCH")]
    env = {name: os.environ[name] for name in names}
    return json.dumps({"said": body.decode("latin-1"), "accept": accept, "env": env}), "application/json"
"""
DOUBLE = """
def model_fn(folder):
    return None

def transform_fn(model, body, content_type, accept):
    lines = [line for line in body.splitlines() if line]
    if content_type == "text/csv":
        return "".join(f"{2 * float(line.split(',')[0])}\\n" for line in lines), "text/csv"
    import json
    return "".join(json.dumps({"twice": 2 * json.loads(line)["x"]}) + "\\n" for line in lines), content_type
"""


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(3).normal(size=(300, 4)).round(4)


@pytest.fixture(scope="module")
def bucket(account, rows):
    bucket = upload_csv(account, "train/data.csv", np.column_stack([rows[:, 0] > 0, rows]))
    upload_csv(account, "in/a.csv", rows[:100], bucket=bucket)
    upload_csv(account, "in/deep/b.csv", rows[100:], bucket=bucket)
    return bucket


@pytest.fixture(scope="module")
def model(account, bucket):
    request = training_request(account, bucket)
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"])
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    return create_model(account, described["ModelArtifacts"]["S3ModelArtifacts"])


@pytest.fixture(scope="module")
def echo(account, bucket):
    return named(account, script_container(account, bucket, ECHO, MINE="the model's"))


@pytest.fixture(scope="module")
def double(account, bucket):
    return named(account, script_container(account, bucket, DOUBLE))


def named(account, *containers):
    name = f"model-{ids.short()}"
    given = {"PrimaryContainer": containers[0]} if len(containers) == 1 else {"Containers": list(containers)}
    account.client("sagemaker").create_model(ModelName=name, ExecutionRoleArn=account.role_arn, **given)
    return name


@pytest.mark.documented
def test_every_object_below_the_prefix_becomes_one_with_an_answer_for_every_row(account, model, bucket):
    job = Transform.create(account, model, f"s3://{bucket}/in")
    found = job.outputs()
    assert {name: body.count(b"\n") for name, body in found.items()} == {
        "a.csv.out": 100,
        "deep/b.csv.out": 200,
    }
    assert all(0 < float(each) < 1 for body in found.values() for each in body.split())


def test_describe_shows_the_request_defaults_and_times(account, model, bucket):
    job = Transform.create(account, model, f"s3://{bucket}/in/a.csv", MaxPayloadInMB=1)
    described = job.wait()
    assert described["TransformJobArn"].endswith(f":transform-job/{job.name}")
    assert described["DataProcessing"] == {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    assert described["TransformInput"]["CompressionType"] == "None"
    assert described["MaxPayloadInMB"] == 1
    assert described["CreationTime"] <= described["TransformStartTime"] <= described["TransformEndTime"]
    waiter = account.client("sagemaker").get_waiter("transform_job_completed_or_stopped")
    waiter.wait(TransformJobName=job.name, WaiterConfig={"Delay": 1})


@pytest.mark.documented
def test_the_id_column_stays_out_of_the_model_and_comes_back_joined(account, model, bucket, rows):
    lines = [f"id-{n},{','.join(map(str, row))}" for n, row in enumerate(rows[:50])]
    upload(account, {"ids/part.csv": "\n".join(lines).encode()}, bucket=bucket)
    upload_csv(account, "plain/part.csv", rows[:50], bucket=bucket)
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    joined = Transform.create(account, model, f"s3://{bucket}/ids/", DataProcessing=processing)
    plain = Transform.create(account, model, f"s3://{bucket}/plain/")
    scores = plain.outputs()["part.csv.out"].split()
    wanted = [b"id-%d,%b" % pair for pair in enumerate(scores)]
    assert joined.outputs()["part.csv.out"].split() == wanted


@pytest.mark.documented
@pytest.mark.parametrize("strategy", ["MultiRecord", "SingleRecord"])
def test_a_built_in_model_says_the_same_however_its_rows_are_grouped(account, model, bucket, strategy):
    job = Transform.create(account, model, f"s3://{bucket}/in/a.csv", BatchStrategy=strategy)
    other = Transform.create(account, model, f"s3://{bucket}/in/a.csv", MaxPayloadInMB=0)
    assert job.outputs() == other.outputs()


@pytest.mark.documented
def test_a_scripts_container_finds_the_batch_in_its_environment(account, echo, bucket):
    upload(account, {"words/w.txt": b"one\ntwo\n"}, bucket=bucket)
    job = Transform.create(
        account,
        echo,
        f"s3://{bucket}/words/w.txt",
        content_type="text/plain",
        BatchStrategy="SingleRecord",
        MaxPayloadInMB=2,
        MaxConcurrentTransforms=3,
        Environment={"MINE": "the job's"},
        TransformOutput={"Accept": "application/json"},
    )
    answers = [json.loads(line) for line in job.outputs()["w.txt.out"].splitlines()]
    assert [each["said"] for each in answers] == ["one\n", "two\n"]
    assert answers[0]["accept"] == "application/json"
    assert answers[0]["env"] == {
        "SAGEMAKER_BATCH": "True",
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "3",
        "MINE": "the job's",
    }
    headline = "MaxConcurrentTransforms=3, MaxPayloadInMB=2, BatchStrategy=SINGLE_RECORD"
    assert [line.partition(":[sagemaker logs]: ")[2] for line in job.lines(data_log=True)] == [headline]


@pytest.mark.documented
@pytest.mark.parametrize(
    ("split", "strategy", "said"),
    [
        ("None", None, [recordio.wrap(b"ab") + recordio.wrap(b"cde")]),
        ("RecordIO", "MultiRecord", [recordio.wrap(b"ab") + recordio.wrap(b"cde")]),
        ("RecordIO", "SingleRecord", [b"ab", b"cde"]),
    ],
)
def test_objects_are_split_as_asked(account, echo, bucket, split, strategy, said):
    upload(account, {"frames/f.rec": recordio.wrap(b"ab") + recordio.wrap(b"cde")}, bucket=bucket)
    members = {"BatchStrategy": strategy} if strategy else {}
    source = f"s3://{bucket}/frames/f.rec"
    job = Transform.create(account, echo, source, content_type="application/x-bytes", split=split, **members)
    answers = [json.loads(line) for line in job.outputs()["f.rec.out"].splitlines()]
    assert [each["said"].encode("latin-1") for each in answers] == said


@pytest.mark.documented
def test_json_lines_are_filtered_and_joined_around_a_script(account, double, bucket):
    body = b'{"id": 1, "x": 2}\n{"id": 2, "x": 3}\n'
    upload(account, {"docs/d.jsonl": body}, bucket=bucket)
    processing = {"JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"}
    source = f"s3://{bucket}/docs/d.jsonl"
    job = Transform.create(
        account, double, source, content_type="application/jsonlines", DataProcessing=processing
    )
    assert [json.loads(line) for line in job.outputs()["d.jsonl.out"].splitlines()] == [
        {"id": 1, "SageMakerOutput": {"twice": 4}},
        {"id": 2, "SageMakerOutput": {"twice": 6}},
    ]


@pytest.mark.documented
def test_a_manifest_names_the_objects(account, double, bucket):
    manifest = [{"prefix": f"s3://{bucket}/lots/"}, "1.csv", "x/3.csv"]
    files = {f"lots/{name}": b"%d\n" % n for n, name in enumerate(["1.csv", "2.csv", "x/3.csv"], 1)}
    upload(account, {**files, "the.manifest": json.dumps(manifest).encode()}, bucket=bucket)
    where = {"S3DataType": "ManifestFile", "S3Uri": f"s3://{bucket}/the.manifest"}
    job = Transform.create(
        account, double, "s3://" + bucket, TransformInput={"DataSource": {"S3DataSource": where}}
    )
    assert job.outputs() == {"1.csv.out": b"2.0\n", "x/3.csv.out": b"6.0\n"}


@pytest.mark.documented
def test_several_instances_share_the_objects_and_gzip_is_inflated(account, double, bucket):
    files = {f"many/{n}.csv.gz": gzip.compress(b"%d\n" % n) for n in range(5)}
    upload(account, files, bucket=bucket)
    source = f"s3://{bucket}/many/"
    job = Transform.create(account, double, source, instances=2, TransformInput={"CompressionType": "Gzip"})
    assert job.outputs() == {f"{n}.csv.gz.out": b"%.1f\n" % (2 * n) for n in range(5)}
    hosts = {stream["logStreamName"].split("/")[1].rpartition("-")[0] for stream in streams(account, job)}
    assert hosts == {"algo-1", "algo-2"}


def streams(account, job):
    return account.client("logs").describe_log_streams(
        logGroupName=GROUP, logStreamNamePrefix=f"{job.name}/"
    )["logStreams"]


@pytest.mark.documented
def test_an_object_that_fails_fails_the_job_and_leaves_the_others_published(account, echo, bucket):
    upload(
        account,
        {"mixed/a.txt": b"well\n", "mixed/b.txt": b"well\nfail\n", "mixed/c.txt": b"well\n"},
        bucket=bucket,
    )
    job = Transform.create(
        account,
        echo,
        f"s3://{bucket}/mixed/",
        content_type="text/plain",
        BatchStrategy="SingleRecord",
        ModelClientConfig={"InvocationsMaxRetries": 1},
    )
    described = job.wait()
    assert described["TransformJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("AlgorithmError: See job logs for more information.")
    assert "1 of 3 objects failed" in described["FailureReason"]
    assert "I cannot" in described["FailureReason"]
    assert sorted(job.published()) == ["a.txt.out", "c.txt.out"]
    told = [line.partition("[sagemaker logs]: ")[2] for line in job.lines(data_log=True)]
    name = f"{bucket}/mixed/b.txt"
    assert told[1:] == [
        f"{name}: Bad HTTP status received from algorithm: 500",
        f"{name}: ",
        f"{name}: Message:",
        f"{name}: RuntimeError: I cannot",
        f"{name}: (this payload begins at line 2 of the object)",
    ]
    assert sum("failing over" in line for line in job.lines()) == 2


def test_a_refusal_is_the_clients_error_and_not_tried_again(account, echo, bucket):
    upload(account, {"no/a.txt": b"refuse\n"}, bucket=bucket)
    job = Transform.create(account, echo, f"s3://{bucket}/no/", content_type="text/plain")
    reason = job.wait()["FailureReason"]
    why = f"{bucket}/no/a.txt: ClientError: 400: ValueError: I will not"
    assert reason == f"ClientError: See job logs for more information. {why}"


def test_a_model_that_does_not_answer_in_time_is_given_up(account, echo, bucket):
    upload(account, {"late/a.txt": b"slow\n"}, bucket=bucket)
    config = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    job = Transform.create(
        account, echo, f"s3://{bucket}/late/", content_type="text/plain", ModelClientConfig=config
    )
    assert "Unable to get response from algorithm" in job.wait()["FailureReason"]
    assert job.published() == {}


def test_another_number_of_answers_than_records_cannot_be_joined(account, echo, bucket):
    upload(account, {"odd/a.csv": b"1\n2\n"}, bucket=bucket)
    job = Transform.create(account, echo, f"s3://{bucket}/odd/", DataProcessing={"JoinSource": "Input"})
    assert "Fail to join data: mismatched line count" in job.wait()["FailureReason"]


def test_a_bad_row_is_named(account, model, bucket):
    upload(account, {"bad/a.csv": b"1,2,3,4\n1,x,3,4\n"}, bucket=bucket)
    reason = Transform.create(account, model, f"s3://{bucket}/bad/").wait()["FailureReason"]
    assert reason.startswith("ClientError: See job logs")
    assert "line 2" in reason


@pytest.mark.parametrize(("strategy", "told"), [("MultiRecord", "line"), ("SingleRecord", "record")])
def test_a_bad_row_far_down_is_found_by_two_numbers(account, model, bucket, strategy, told):
    upload(account, {"far/a.csv": b"1,2,3,4\n" * 200_000 + b"1,x,3,4\n"}, bucket=bucket)
    job = Transform.create(account, model, f"s3://{bucket}/far/", BatchStrategy=strategy, MaxPayloadInMB=1)
    reason = job.wait()["FailureReason"]
    (within,) = map(int, re.findall(rf"{told} (\d+): [cL]", reason))
    (begins,) = map(int, re.findall(r"begins at line (\d+) of", reason))
    assert begins > 1
    assert begins + within - 1 == 200_001


def test_a_prefix_without_objects_is_the_clients_error(account, model, bucket):
    reason = Transform.create(account, model, f"s3://{bucket}/nothing/").wait()["FailureReason"]
    assert reason.startswith("ClientError: No S3 objects found under S3 URL")


def test_a_model_that_cannot_be_loaded_says_why(account, bucket):
    broken = named(account, script_container(account, bucket, "raise ValueError('not today')"))
    described = Transform.create(account, broken, f"s3://{bucket}/in/").wait()
    assert described["TransformJobStatus"] == "Failed"
    assert "not today" in described["FailureReason"]


@pytest.mark.documented
def test_a_stopped_job_leaves_nothing_half_written(account, echo, bucket):
    upload(account, {"stop/b.txt": b"well\n" * 9 + b"slow\n"}, bucket=bucket)
    source = f"s3://{bucket}/stop/"
    job = Transform.create(account, echo, source, content_type="text/plain", BatchStrategy="SingleRecord")
    deadline = time.monotonic() + 60
    while not any("slowly" in line for line in job.lines()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    account.client("sagemaker").stop_transform_job(TransformJobName=job.name)
    assert job.wait(limit_s=40)["TransformJobStatus"] == "Stopped"
    assert job.published() == {}
    assert len(job.lines(data_log=True)) == 1
    with pytest.raises(ClientError, match="is in status Stopped"):
        account.client("sagemaker").stop_transform_job(TransformJobName=job.name)


@pytest.mark.documented
def test_capture_lists_what_went_in_and_what_came_out(account, double, bucket):
    upload(account, {"cap/1.csv": b"1\n", "cap/2.csv": b"2\n"}, bucket=bucket)
    capture = {"DestinationS3Uri": f"s3://{bucket}/captured", "GenerateInferenceId": True}
    job = Transform.create(account, double, f"s3://{bucket}/cap/", DataCaptureConfig=capture)
    for body in job.outputs().values():
        value, inference_id, moment = body.decode().strip().split(",")
        assert float(value) > 0
        assert len(inference_id) == 36
        assert moment.endswith("Z")
    s3 = account.client("s3")
    found = {}
    for each in s3.list_objects_v2(Bucket=bucket, Prefix="captured/")["Contents"]:
        part = each["Key"].split("/")[1]
        found[part] = json.loads(s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read())
    assert found == {
        "input": [{"prefix": f"s3://{bucket}/cap/"}, "1.csv", "2.csv"],
        "output": [{"prefix": f"{job.output}/"}, "1.csv.out", "2.csv.out"],
    }


def test_jobs_are_listed_tagged_and_unique(account, model, bucket):
    sagemaker = account.client("sagemaker")
    tags = [{"Key": "team", "Value": "a"}]
    job = Transform.create(account, model, f"s3://{bucket}/in/a.csv", Tags=tags)
    arn = job.wait()["TransformJobArn"]
    found = sagemaker.list_transform_jobs(NameContains=job.name[-8:], StatusEquals="Completed")
    (summary,) = found["TransformJobSummaries"]
    assert summary["TransformJobArn"] == arn
    assert summary["TransformEndTime"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    with pytest.raises(sagemaker.exceptions.ResourceInUse):
        sagemaker.create_transform_job(**job.request)
    with pytest.raises(ClientError, match="Could not find requested job"):
        sagemaker.describe_transform_job(TransformJobName="not-there")
