"""The model registry by pages and forms: register, compare, decide, deploy, delete."""

import json
from typing import Any

import pytest

from clary.kernel import ids
from clary.testing.jobs import training_request, upload_csv, wait_for_endpoint, wait_for_job
from clary.testing.server import Account, ClaryServer

from .browser import Browser
from .conftest import signed_in
from .test_making import fields

np = pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture(scope="module")
def browser(account: Account) -> Browser:
    return signed_in(account)


@pytest.fixture(scope="module")
def trained(account: Account) -> str:
    rows = np.random.default_rng(0).normal(size=(200, 5))
    rows[:, 0] = rows[:, 1] > 0
    bucket = upload_csv(account, "train/rows.csv", rows)
    values = {"num_round": "3", "objective": "binary:logistic", "eval_metric": "auc"}
    request = training_request(account, bucket, hyperparameters=values)
    account.client("sagemaker").create_training_job(**request)
    wait_for_job(account, request["TrainingJobName"])
    return str(request["TrainingJobName"])


def registered(browser: Browser, job: str, group: str, **changed: str) -> Any:
    form = fields(browser.get(f"/register/job/{job}"))
    return browser.post(f"/register/job/{job}", form | {"group": group} | changed)


def test_an_empty_registry_says_what_makes_a_first_version(clary_server: ClaryServer) -> None:
    browser = signed_in(clary_server.account())
    page = browser.get("/registry")
    assert "No model is registered" in page.words
    assert 'href="/_clary/console/registry"' in page.text
    form = {"do": "create", "name": "empty", "about": "of nothing", "form_token": page.form_token}
    page = browser.post("/registry", form)
    assert "This group has no version" in page.words
    assert "of nothing" in page.words
    assert "already exists" in browser.post("/registry", form).words
    gone = browser.post("/registry/empty", {"do": "delete", "form_token": page.form_token})
    assert "empty was deleted" in gone.words
    assert browser.get("/registry/empty").status == 404
    assert browser.get("/packages/empty:1").status == 404


def test_a_model_is_registered_compared_decided_on_and_deployed(
    account: Account, browser: Browser, trained: str
) -> None:
    sagemaker, group = account.client("sagemaker"), f"churn-{ids.short()}"
    assert f"/register/job/{trained}" in browser.get(f"/jobs/training/{trained}").text
    bad = registered(browser, trained, group, takes="text/csv", answers=" " * 3, status="Perhaps")
    assert 'role="alert"' in bad.text
    assert fields(bad)["group"] == group
    assert browser.get(f"/registry/{group}").status == 404, "a group that was made for it is gone with it"

    bucket = f"figures-{ids.short()}"
    account.client("s3").create_bucket(Bucket=bucket)
    report = {"binary_classification_metrics": {"f1": {"value": 0.875, "standard_deviation": 0.01}}}
    account.client("s3").put_object(Bucket=bucket, Key="evaluation.json", Body=json.dumps(report).encode())
    page = registered(browser, trained, group, about="first")
    assert "The model was registered" in page.words
    page = registered(browser, trained, group, about="second", figures=f"s3://{bucket}/evaluation.json")
    assert f"{group} 2" in page.words
    assert "0.875" in page.words
    assert "/opt/ml" not in page.text

    compared = browser.get(f"/registry/{group}")
    for text in ("train:auc", "f1", "0.875", "first", "second", "PendingManualApproval"):
        assert text in compared.words, text
    assert "/deploy/package" not in compared.text
    second = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"][0]
    assert second["ModelPackageVersion"] == 2
    described = sagemaker.describe_model_package(ModelPackageName=second["ModelPackageArn"])
    assert described["MetadataProperties"]["GeneratedBy"].endswith(trained)

    decide = {"do": "decide", "form_token": page.form_token}
    refused = browser.post(f"/deploy/package/{group}:2", fields(browser.get(f"/deploy/package/{group}:2")))
    assert 'role="alert"' in refused.text
    page = browser.get(f"/packages/{group}%3A1")
    assert f'action="/_clary/console/packages/{group}%3A1"' in page.text, "spelled as it was asked for"
    page = browser.post(f"/packages/{group}%3A1", decide | {"status": "Rejected", "why": "too slow"})
    assert "Rejected: nothing" in page.words
    page = browser.post(f"/packages/{group}:2", decide | {"status": "Approved", "why": "better"})
    assert "Approved: it can be deployed" in page.words
    assert "SageMakerRole" in page.words, "who decided"
    described = sagemaker.describe_model_package(ModelPackageName=second["ModelPackageArn"])
    assert (described["ModelApprovalStatus"], described["ApprovalDescription"]) == ("Approved", "better")
    page = browser.get(f"/registry/{group}?status=Rejected")
    assert "too slow" in page.words
    assert f"{group} 2" not in page.words

    form = fields(browser.get(f"/deploy/package/{group}:2"))
    assert "is being created" in browser.post(f"/deploy/package/{group}:2", form).words
    wait_for_endpoint(account, form["name"])
    asked = {"do": "ask", "form_token": form["form_token"], "body": "1,0,0,0", "content_type": "text/csv"}
    assert "from AllTraffic" in browser.post(f"/endpoints/{form['name']}", asked).words
    sagemaker.delete_endpoint(EndpointName=form["name"])
    arn = second["ModelPackageArn"]
    assert "ModelPackage" in browser.get(f"/lineage?of={arn}").words
    page = browser.post(f"/packages/{group}:2", {"do": "delete", "form_token": form["form_token"]})
    assert "It was deleted" in page.words
    left = browser.post(f"/registry/{group}", {"do": "delete", "form_token": form["form_token"]})
    assert "must be deleted first" in left.words


def test_a_model_becomes_a_version_too(account: Account, browser: Browser, trained: str) -> None:
    sagemaker, name = account.client("sagemaker"), f"made-{ids.short()}"
    job = sagemaker.describe_training_job(TrainingJobName=trained)
    container = {
        "Image": job["AlgorithmSpecification"]["TrainingImage"],
        "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
    }
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=account.role_arn, PrimaryContainer=container)
    assert f"/register/model/{name}" in browser.get("/models").text
    form = fields(browser.get(f"/register/model/{name}")) | {"group": name, "status": "Approved"}
    page = browser.post(f"/register/model/{name}", form)
    assert f"{name} 1" in page.words
    assert "Deploy" in page.words
