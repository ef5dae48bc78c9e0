"""What the pages show and do, against jobs and endpoints that really run."""

import base64
import http.client
import json
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from clary.kernel import ids
from clary.testing.jobs import (
    XGBOOST,
    ScriptJob,
    training_request,
    upload_csv,
    wait_for_endpoint,
    wait_for_job,
)
from clary.testing.server import Account, ClaryServer

from .browser import BASE, Browser
from .conftest import signed_in

SLOW = """
import sys, time
print("the <first> line", flush=True)
for line in range(600):
    print(f"tick {line} at {time.time()}", flush=True)
    time.sleep(0.25)
"""


@pytest.fixture(scope="module")
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture(scope="module")
def browser(account: Account) -> Browser:
    return signed_in(account)


@pytest.fixture(scope="module")
def model(account: Account) -> tuple[str, str]:
    """A trained job's name and its artefact."""
    rows = np.random.default_rng(0).normal(size=(200, 5))
    rows[:, 0] = rows[:, 1] > 0
    bucket = upload_csv(account, "train/rows.csv", rows)
    request = training_request(
        account, bucket, hyperparameters={"num_round": "5", "objective": "binary:logistic"}
    )
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"])
    return request["TrainingJobName"], described["ModelArtifacts"]["S3ModelArtifacts"]


@pytest.fixture(scope="module")
def endpoint(account: Account, model: tuple[str, str]) -> str:
    sagemaker, name = account.client("sagemaker"), f"asked-{ids.short()}"
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=account.role_arn,
        PrimaryContainer={"Image": XGBOOST, "ModelDataUrl": model[1]},
    )
    variant = {
        "VariantName": "one",
        "ModelName": name,
        "InstanceType": "ml.t2.medium",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    wait_for_endpoint(account, name)
    return name


class Events:
    """A live stream, read in a thread."""

    def __init__(self, browser: Browser, path: str) -> None:
        self.seen: list[tuple[float, str, dict[str, Any]]] = []
        self._connection = http.client.HTTPConnection(urlsplit(browser.url).netloc, timeout=60)
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        mark = "&" if "?" in path else "?"
        self._connection.request("GET", f"{BASE}{path}{mark}live=1", headers={"cookie": cookie})
        self.answer = self._connection.getresponse()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        name = ""
        try:
            for raw in self.answer:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.seen.append((time.time(), name, json.loads(line.removeprefix("data: "))))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            return  # closed by `close`

    def until(self, found: Any, limit_s: float = 30.0) -> Any:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            for at, name, document in list(self.seen):
                if found(name, document):
                    return at, document
            time.sleep(0.02)
        raise AssertionError(f"not seen; the last events: {self.seen[-3:]}")

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def test_a_completed_job_shows_its_life_metrics_and_program(browser: Browser, model: tuple[str, str]) -> None:
    page = browser.get(f"/jobs/training/{model[0]}")
    for text in (
        "Completed",
        "Downloading",
        "num_round",
        "train",
        "train:logloss",
        "create_training_job",
        model[1],
    ):
        assert text in page.words, text
    assert model[0] in browser.get("/jobs/training?name=" + model[0][3:]).words
    assert "No job fits this filter" in browser.get("/jobs/training?name=none-such").words
    assert model[0] not in browser.get("/jobs/training?status=Failed").words


def test_run_again_starts_the_same_job(browser: Browser, account: Account, model: tuple[str, str]) -> None:
    path = f"/jobs/training/{model[0]}"
    page = browser.post(path, {"do": "again", "form_token": browser.get(path).form_token})
    assert "Started: the same as" in page.words
    name = page.path.rpartition("/")[2].partition("?")[0]
    described = wait_for_job(account, name)
    assert described["TrainingJobStatus"] == "Completed"
    assert described["HyperParameters"] == {"num_round": "5", "objective": "binary:logistic"}


def test_a_running_job_is_followed_live_and_stopped(browser: Browser, account: Account) -> None:
    job = ScriptJob.create(account, SLOW)
    job.wait(until={"Training"})
    path = f"/jobs/training/{job.name}"
    events = Events(browser, path)
    try:
        assert events.answer.status == 200
        events.until(lambda name, document: name == "lines" and "the <first> line" in document["lines"])
        at, document = events.until(
            lambda name, document: name == "lines" and any("tick 8 " in line for line in document["lines"])
        )
        printed = next(float(line.rpartition(" ")[2]) for line in document["lines"] if "tick 8 " in line)
        assert at > printed
        page = browser.post(path, {"do": "stop", "form_token": browser.get(path).form_token})
        assert "asked to stop" in page.words
        events.until(lambda name, document: name == "swap" and "Stopped" in document["html"])
    finally:
        events.close()
    page = browser.get(path)
    assert "&lt;first&gt;" in page.text
    kept = browser.post(path, {"do": "log", "form_token": page.form_token})
    assert kept.headers["content-disposition"].startswith("attachment")
    assert "the <first> line" in kept.text


def test_a_failed_job_says_why_at_home(browser: Browser, account: Account) -> None:
    job = ScriptJob.create(account, "raise SystemExit('the reason of this test')")
    job.wait()
    assert "the reason of this test" in browser.get(f"/jobs/training/{job.name}").words
    home = browser.get("/").words
    assert job.name in home
    assert "the reason of this test" in home


def test_an_endpoint_is_asked_and_its_weight_changed(
    browser: Browser, account: Account, endpoint: str
) -> None:
    path = f"/endpoints/{endpoint}"
    token = browser.get(path).form_token
    asked = {"do": "ask", "form_token": token, "body": "1,0,0,0", "content_type": "text/csv", "accept": ""}
    answer = browser.post(path, asked)
    assert "200" in answer.words
    assert "from one" in answer.words
    file = {"body": "", "file": base64.b64encode(b"1,0,0,0\n" * 20_000).decode()}
    assert "200, " in browser.post(path, asked | file).words, "160 kB, of which the form's text has nothing"
    assert "did not arrive whole" in browser.post(path, asked | {"file": "?"}).words
    wrong = browser.post(path, asked | {"content_type": "image/png"})
    assert "415" in wrong.words or "424" in wrong.words
    browser.post(path, {"do": "weights", "form_token": token, "weight:one": "3"})
    described = wait_for_endpoint(account, endpoint)
    assert described["ProductionVariants"][0]["DesiredWeight"] == 3.0
    refused = browser.post(path, {"do": "weights", "form_token": token, "weight:one": "much"})
    assert "A weight is a number" in refused.words
    assert endpoint in browser.get("/endpoints").words
    assert endpoint in browser.get("/models").words


def test_data_is_browsed_previewed_and_taken(
    browser: Browser, account: Account, model: tuple[str, str]
) -> None:
    bucket, _, key = model[1].removeprefix("s3://").partition("/")
    assert bucket in browser.get("/data").words
    assert "train/" in browser.get(f"/data/{bucket}").words
    assert "xgboost-model" in browser.get(f"/data/{bucket}/{key}").words
    page = browser.get(f"/data/{bucket}/train/rows.csv")
    assert "1 2 3 4 5" in " ".join(page.words.split())
    form = {"do": "download", "form_token": page.form_token}
    got = browser.post(f"/data/{bucket}/train/rows.csv", form)
    whole = account.client("s3").get_object(Bucket=bucket, Key="train/rows.csv")["Body"].read()
    assert got.text.encode() == whole
    assert got.headers["content-security-policy"] == "sandbox"


def test_a_tuning_job_shows_its_trials_and_pictures(
    browser: Browser, account: Account, model: tuple[str, str]
) -> None:
    sagemaker, name = account.client("sagemaker"), f"tune-{ids.short()}"
    trained = sagemaker.describe_training_job(TrainingJobName=model[0])
    channels = [
        dict(trained["InputDataConfig"][0]),
        dict(trained["InputDataConfig"][0], ChannelName="validation"),
    ]
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "RandomSeed": 1,
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "validation:logloss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {
                "ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.01", "MaxValue": "0.5"}],
                "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "2", "MaxValue": "6"}],
            },
        },
        TrainingJobDefinition={
            "StaticHyperParameters": {"num_round": "3", "objective": "binary:logistic"},
            "AlgorithmSpecification": {"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
            "RoleArn": account.role_arn,
            "InputDataConfig": channels,
            "OutputDataConfig": {"S3OutputPath": trained["OutputDataConfig"]["S3OutputPath"]},
            "ResourceConfig": trained["ResourceConfig"],
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        },
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        described = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if described["HyperParameterTuningJobStatus"] != "InProgress":
            break
        time.sleep(0.2)
    assert described["HyperParameterTuningJobStatus"] == "Completed", described.get("FailureReason")
    assert name in browser.get("/jobs/tuning").words
    page = browser.get(f"/jobs/tuning/{name}")
    assert described["BestTrainingJob"]["TrainingJobName"] in page.words
    assert page.text.count('class="picture"') == 5
    assert page.text.count("<circle") >= 12
    for text in ("eta", "max_depth", "Rank correlation", "validation:logloss by trial"):
        assert text in page.words, text
