"""The model registry of unmodified SDKs and of the command line, against a live Clary."""

import json
from collections.abc import Callable, Iterator

import pytest

from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of

pytestmark = [pytest.mark.slow]  # docs/model-registry.md runs in `make test`


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_model_package")


def test_v2_registers_approves_and_deploys(v2: Client) -> None:
    seen = v2("registry")
    assert seen["first"] == {
        "ModelPackageVersion": 2,
        "ModelApprovalStatus": "PendingManualApproval",
        "SourceUri": "s3://anywhere/else",
    }
    assert seen["metrics"].endswith("/statistics.json")
    assert seen["card"] == "Draft"
    assert seen["properties"] == {"reviewed": "yes"}
    assert seen["best"].endswith(":model-package/churn/2")
    assert seen["scores"] == 2
    assert seen["lineage"] == {
        "approval": {"ModelApprovalStatus": "Approved"},
        "datasets": 1,
        "endpoints": ["of-the-registry"],
        "group": "ModelGroup",
    }


def test_v2_registers_pipelines_and_packages_of_their_own(v2: Client) -> None:
    assert v2("others") == {"containers": 2, "approval": "Approved", "alone": "of-its-own"}


@pytest.fixture
def v3(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk3"), "v3_model_package")


@pytest.mark.sdk_v3
def test_v3_registers_looks_and_deletes(v3: Client) -> None:
    seen = v3("registry")
    assert seen["approval"] == "Approved"
    assert seen["data"] == seen["trained"]
    assert seen["listed"] == [seen["arn"]]
    assert seen["groups"] == ["v3-churn"]


def test_aws_registers_and_approves(aws: Callable[..., str]) -> None:
    aws("sagemaker", "create-model-package-group", "--model-package-group-name", "by-aws")
    made = aws("sagemaker", "create-model-package", "--model-package-group-name", "by-aws")
    arn = json.loads(made)["ModelPackageArn"]
    approve = ("--model-package-arn", arn, "--model-approval-status", "Approved")
    aws("sagemaker", "update-model-package", *approve)
    listed = aws("sagemaker", "list-model-packages", "--model-package-group-name", "by-aws")
    [package] = json.loads(listed)["ModelPackageSummaryList"]
    assert (package["ModelPackageVersion"], package["ModelApprovalStatus"]) == (1, "Approved")
