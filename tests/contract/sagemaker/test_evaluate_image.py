"""Image `clary-evaluate` as a processing job: predictions in S3 become evaluation.json and a report."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import new_bucket, read_object
from clary.testing.processing import ProcessingScript, processing_request, s3_input, s3_output

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/clary-evaluate:1"
FOLDER = "/opt/ml/processing/evaluation"


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture(scope="module")
def bucket(account):
    rng = np.random.default_rng(2)
    labels = (rng.random(800) < 0.2).astype(int)
    rows = pd.DataFrame({"fraud": labels, "p": np.clip(rng.normal(0.3 + 0.3 * labels, 0.15), 0, 1)})
    bucket = new_bucket(account)
    text = io.StringIO()
    rows.to_csv(text, index=False)
    account.client("s3").put_object(Bucket=bucket, Key="scored/part.csv", Body=text.getvalue().encode())
    return bucket


def run(account, bucket, *arguments):
    request = processing_request(
        account,
        image=IMAGE,
        inputs=[s3_input("scored", f"s3://{bucket}/scored")],
        outputs=[s3_output("evaluation", f"s3://{bucket}/evaluation", path=FOLDER)],
    )
    request["AppSpecification"] = {"ImageUri": IMAGE, "ContainerArguments": list(arguments)}
    account.client("sagemaker").create_processing_job(**request)
    return ProcessingScript(account, bucket, request["ProcessingJobName"]).wait()


def test_predictions_become_an_evaluation_that_pipelines_read(account, bucket):
    described = run(
        account, bucket, "--label", "fraud", "--score", "p", "--costs", '{"missed": 250, "alarm": 10}'
    )
    assert described["ProcessingJobStatus"] == "Completed", described.get("FailureReason")
    assert "instead of 0.5 saves" in described["ExitMessage"]
    document = json.loads(read_object(account, f"s3://{bucket}/evaluation/evaluation.json"))
    assert document["binary_classification_metrics"]["auc"]["value"] > 0.8
    decision = json.loads(read_object(account, f"s3://{bucket}/evaluation/decision.json"))
    assert decision["threshold"] == document["costs"]["best_threshold"]
    assert b"<svg" in read_object(account, f"s3://{bucket}/evaluation/report.html")


def test_a_column_that_is_not_there_is_the_reason(account, bucket):
    described = run(account, bucket, "--label", "gone", "--score", "p", "--kind", "binary")
    assert described["ProcessingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("ClientError: label: there is no column 'gone'; there are")


def test_an_image_of_ours_that_does_not_exist_is_refused(account):
    request = processing_request(account, image=IMAGE.replace("evaluate", "guess"))
    with pytest.raises(ClientError, match="none of Clary's own: clary-evaluate"):
        account.client("sagemaker").create_processing_job(**request)
