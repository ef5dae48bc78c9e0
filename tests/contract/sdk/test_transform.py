"""Batch transform through unmodified SDKs and the AWS command line."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.kernel import ids
from clary.testing.jobs import pack
from clary.testing.server import ClaryServer
from clary.testing.transform import transform_request

from .conftest import Client, client, python_of
from .test_awscli import Aws

SCRIPT = """
def model_fn(folder):
    return None

def transform_fn(model, body, content_type, accept):
    return "".join(f"{2 * float(line)}\\n" for line in body.split()), "text/csv"
"""


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    """Yield SDK v2."""
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_transform")


@pytest.fixture(scope="module")
def v3(clary_server: ClaryServer) -> Iterator[Client]:
    """Yield SDK v3."""
    yield from client(clary_server.env(clary_server.account()), python_of("sdk3"), "v3_transform")


def test_v2_makes_a_transformer_of_an_estimator_and_joins_an_id_column(v2: Client) -> None:
    seen = v2("built_in")
    assert seen["status"] == "Completed"
    assert seen["ids"] == [f"id{n}" for n in range(50)]
    assert seen["accuracy"] > 0.9
    assert seen["attached"] == [seen["model"], True]
    assert "BatchStrategy=MULTI_RECORD" in seen["logs"]


def test_v2_transforms_with_a_script_of_its_own(v2: Client) -> None:
    seen = v2("script")
    assert seen["status"] == "Completed", seen["reason"]
    assert [float(each) for each in seen["output"]] == [3.0 * n for n in range(7)]
    assert seen["captured"] == ["input", "output"]
    assert seen["tags"] == [{"Key": "team", "Value": "a"}]


def test_v2_is_told_of_a_missing_model(v2: Client) -> None:
    assert "Failed to fetch model information for no-such-model" in v2("missing_model")


@pytest.mark.sdk_v3
def test_v3_transforms_and_finds_the_job_as_a_resource(v3: Client) -> None:
    seen = v3("built_in")
    assert seen["status"] == "Completed", seen["reason"]
    assert (seen["n"], seen["scores"]) == (400, 400)
    assert seen["is_listed"]


def test_aws_transforms_a_file(aws: Aws, tmp_path: Path) -> None:
    caller = json.loads(aws("sts", "get-caller-identity"))
    role = f"arn:aws:iam::{caller['Account']}:role/{caller['Arn'].split('/')[1]}"
    bucket, name = f"cli-{ids.short()}", f"cli-{ids.short()}"
    aws("s3", "mb", f"s3://{bucket}")
    (tmp_path / "model.tar.gz").write_bytes(pack({"code/inference.py": SCRIPT}))
    (tmp_path / "rows.csv").write_text("1\n2\n")
    aws("s3", "cp", "model.tar.gz", f"s3://{bucket}/model.tar.gz")
    aws("s3", "cp", "rows.csv", f"s3://{bucket}/in/rows.csv")
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
    container = f"Image={image},ModelDataUrl=s3://{bucket}/model.tar.gz"
    aws("sagemaker", "create-model", "--model-name", name, "--execution-role-arn", role,
        "--primary-container", container)  # fmt: skip
    request = transform_request(name, f"s3://{bucket}/in", f"s3://{bucket}/out")
    (tmp_path / "job.json").write_text(json.dumps(request))
    aws("sagemaker", "create-transform-job", "--cli-input-json", "file://job.json")
    job = ("--transform-job-name", request["TransformJobName"])
    query = ("--query", "TransformJobStatus", "--output", "text")
    deadline = time.monotonic() + 60
    while aws("sagemaker", "describe-transform-job", *job, *query) == "InProgress\n":
        assert time.monotonic() < deadline
    aws("sagemaker", "wait", "transform-job-completed-or-stopped", *job)
    aws("s3", "cp", f"s3://{bucket}/out/rows.csv.out", "rows.out")
    assert (tmp_path / "rows.out").read_text() == "2.0\n4.0\n"
