"""Batch transform of inference pipelines through boto3: what comes out is what stage after stage says."""

import numpy as np
import pytest

from clary.kernel import ids
from clary.testing.jobs import XGBOOST, training_request, upload_csv, wait_for_job
from clary.testing.transform import Transform, script_container

SCALE = """
def model_fn(folder):
    return 0.5

def transform_fn(model, body, content_type, accept):
    rows = [line.split(",") for line in body.splitlines() if line]
    if any("slow" in row[0] for row in rows):
        import time; time.sleep(60)
    if any("bad" in row[0] for row in rows):
        raise RuntimeError("I cannot")
    lines = (",".join(repr(model * float(field)) for field in row) for row in rows)
    return "".join(line + "\\n" for line in lines), "text/csv"
"""


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture(scope="module")
def bucket(account):
    rows = np.random.default_rng(3).normal(size=(4000, 4)).round(4)
    bucket = upload_csv(account, "train/data.csv", np.column_stack([rows[:, 0] > 0, rows]))
    upload_csv(account, "in/a.csv", rows, bucket=bucket)
    upload_csv(account, "in/b.csv", rows[:5], bucket=bucket)
    for word in ("bad", "slow"):
        account.client("s3").put_object(Bucket=bucket, Key=f"{word}/a.csv", Body=f"{word},1,2,3\n".encode())
    return bucket


@pytest.fixture(scope="module")
def containers(account, bucket):
    request = training_request(account, bucket)
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"])
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    trees = {"Image": XGBOOST, "ModelDataUrl": described["ModelArtifacts"]["S3ModelArtifacts"]}
    return {"scale": script_container(account, bucket, SCALE), "trees": trees}


@pytest.fixture(scope="module")
def model(account, containers):
    def create(*names):
        name = f"model-{ids.short()}"
        chosen = [containers[each] for each in names]
        given = {"PrimaryContainer": chosen[0]} if len(chosen) == 1 else {"Containers": chosen}
        account.client("sagemaker").create_model(ModelName=name, ExecutionRoleArn=account.role_arn, **given)
        return name

    return create


@pytest.mark.documented
@pytest.mark.parametrize(
    ("row", "strategy"),
    [
        (("scale", "trees"), "MultiRecord"),
        (("scale", "trees"), "SingleRecord"),
        (("scale", "scale", "trees"), "MultiRecord"),  # the second script has a process of its own
    ],
)
def test_a_row_writes_what_its_stages_write_one_after_the_other(account, model, bucket, row, strategy):
    at = f"s3://{bucket}/in"
    for stage in row:
        job = Transform.create(account, model(stage), at)
        job.outputs()
        at = job.output
    known = {name.split(".")[0]: body for name, body in job.outputs().items()}
    whole = Transform.create(account, model(*row), f"s3://{bucket}/in", BatchStrategy=strategy)
    assert {name.split(".")[0]: body for name, body in whole.outputs().items()} == known


def test_a_row_filters_before_the_first_and_joins_behind_the_last(account, model, bucket):
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    upload_csv(account, "ids/a.csv", np.array([[7, 1, 2, 3, 4], [8, 4, 3, 2, 1]]), bucket=bucket)
    job = Transform.create(account, model("scale", "trees"), f"s3://{bucket}/ids", DataProcessing=processing)
    lines = job.outputs()["a.csv.out"].split()
    assert [float(line.split(b",")[0]) for line in lines] == [7, 8]


@pytest.mark.parametrize(
    ("word", "client", "said"),
    [
        ("bad", {"InvocationsMaxRetries": 1}, "container-1: RuntimeError: I cannot"),
        ("slow", {"InvocationsMaxRetries": 0, "InvocationsTimeoutInSeconds": 1}, "timed out"),
    ],
)
def test_a_row_that_fails_says_which_container(account, model, bucket, word, client, said):
    job = Transform.create(
        account, model("scale", "trees"), f"s3://{bucket}/{word}", ModelClientConfig=client
    )
    described = job.wait()
    assert described["TransformJobStatus"] == "Failed"
    assert said in described["FailureReason"]
