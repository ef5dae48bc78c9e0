"""`clary reproduce` against a live Clary."""

import json
import subprocess
import sys

import numpy as np
import pytest

from clary.testing.jobs import ScriptJob, training_request, upload_csv, wait_for_job


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture
def reproduce(clary_server, account):
    """Return a function that runs the command and returns its exit code and report, or its error."""

    def run(job):
        done = subprocess.run(
            [sys.executable, "-m", "clary.cli.main", "reproduce", job, "--json", "--account", account.name,
             "--data-dir", str(clary_server.data_dir)],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    return run


def test_a_job_on_the_same_data_makes_the_same_model_and_on_other_data_another(account, reproduce):
    rows = np.random.default_rng(5).integers(0, 2, (80, 4))
    bucket = upload_csv(account, "train/data.csv", rows)
    hyperparameters = {"num_round": "5", "objective": "binary:logistic", "subsample": "0.7", "seed": "3"}
    request = training_request(account, bucket, hyperparameters=hyperparameters)
    account.client("sagemaker").create_training_job(**request)
    name = request["TrainingJobName"]
    assert wait_for_job(account, name)["TrainingJobStatus"] == "Completed"

    code, report = reproduce(name)
    assert code == 0, report
    assert report["Model"]["Same"]
    (data,) = report["Data"]
    assert data["Same"]
    assert data["Then"] == data["Now"]
    again = account.client("sagemaker").describe_training_job(TrainingJobName=report["ReproducedBy"])
    assert again["HyperParameters"] == hyperparameters

    upload_csv(account, "train/data.csv", 1 - rows, bucket=bucket)
    code, report = reproduce(name)
    assert (code, report["Model"]["Same"]) == (1, False)
    assert report["Data"][0]["Same"] is False
    assert [each["Name"] for each in report["Model"]["Differing"]] == ["xgboost-model"]
    assert report["Model"]["Predictions"]["LargestDifference"] > 0


def test_a_script_that_does_not_seed_makes_another_model(account, reproduce):
    script = "import os\nopen('/opt/ml/model/w', 'wb').write(b'head' + os.urandom(8))\n"
    job = ScriptJob.create(account, script)
    job.completed()
    code, report = reproduce(job.name)
    assert code == 1
    assert report["Code"]["Same"]
    (found,) = report["Model"]["Differing"]
    assert (found["Name"], found["Sizes"]) == ("w", [12, 12])
    assert found["FirstDifferingByte"] >= 4


def test_what_did_not_complete_is_not_reproduced(account, reproduce):
    job = ScriptJob.create(account, "raise SystemExit(3)\n")
    job.wait()
    code, text = reproduce(job.name)
    assert code == 1
    assert "is Failed" in text
    assert reproduce("no-such-job")[0] == 1
