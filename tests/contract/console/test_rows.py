"""Forms that work on rows: a script, a verdict and a model over a folder; and each once more, changed."""

import time
from typing import Any

import pytest

from clary.testing.jobs import read_object, training_request, upload_csv, wait_for_job
from clary.testing.server import Account, ClaryServer

from .browser import Browser
from .conftest import signed_in
from .test_making import fields

np = pytest.importorskip("numpy")

SCRIPT = """import pathlib, sys
rows = pathlib.Path("/opt/ml/processing/input/data/rows.csv").read_text().split()
pathlib.Path("/opt/ml/processing/output/first.txt").write_text("\\n".join(rows[: int(sys.argv[1])]))
"""


@pytest.fixture(scope="module")
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture(scope="module")
def browser(account: Account) -> Browser:
    return signed_in(account)


@pytest.fixture(scope="module")
def bucket(account: Account) -> str:
    rows = np.random.default_rng(0).normal(size=(200, 5))
    rows[:, 0] = rows[:, 1] > 0
    bucket = upload_csv(account, "train/rows.csv", rows)
    scores = "\n".join(f"{n % 2},{n % 2 * 0.5 + n % 10 / 20}" for n in range(100))
    account.client("s3").put_object(Bucket=bucket, Key="judged/p.csv", Body=f"label,score\n{scores}".encode())
    return bucket


def ended(account: Account, kind: str, name: str) -> dict[str, Any]:
    """Return what describes a job once it has ended."""
    describe = getattr(account.client("sagemaker"), f"describe_{kind.lower()}_job")
    deadline = time.monotonic() + 120
    while True:
        found: dict[str, Any] = describe(**{f"{kind}JobName": name})
        if found[f"{kind}JobStatus"] != "InProgress":
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_a_script_is_written_run_changed_and_run(account: Account, browser: Browser, bucket: str) -> None:
    assert f"/process?data=s3%3A%2F%2F{bucket}%2Ftrain%2F" in browser.get(f"/data/{bucket}/train/").text
    assert "Run a script" in browser.get(f"/process?data=s3://{bucket}/train/").words
    form = fields(browser.get(f"/process/script?data=s3://{bucket}/train/"))
    assert form["in:1:uri"] == f"s3://{bucket}/train/"
    nothing = browser.post("/process/script", form | {"script": " "})
    assert "Write a script" in nothing.words
    assert fields(nothing)["in:1:uri"] == f"s3://{bucket}/train/"
    assert "No closing quotation" in browser.post("/process/script", form | {"arguments": "'"}).words
    page = browser.post("/process/script", form | {"script": SCRIPT, "arguments": "2"})
    assert "The job was started" in page.words
    described = ended(account, "Processing", form["name"])
    assert described["ProcessingJobStatus"] == "Completed", described.get("FailureReason")
    assert len(read_object(account, f"{form['out:1:uri']}first.txt").split()) == 2
    page = browser.get(f"/jobs/processing/{form['name']}")
    assert "/opt/ml/processing/output" in page.words
    assert "from sagemaker.processing import" in page.words

    again = f"/process?like={form['name']}"
    changed = fields(browser.get(again))
    assert (changed["arguments"], changed["in:1:uri"]) == ("2", f"s3://{bucket}/train/")
    assert "was started" in browser.post(again, changed | {"arguments": "3"}).words
    described = ended(account, "Processing", changed["name"])
    assert described["AppSpecification"]["ContainerArguments"] == ["3"]
    assert described["ProcessingJobStatus"] == "Completed", described.get("FailureReason")
    assert len(read_object(account, f"{form['out:1:uri']}first.txt").split()) == 3


def test_predictions_are_judged(account: Account, browser: Browser, bucket: str) -> None:
    form = fields(browser.get(f"/process/evaluate?data=s3://{bucket}/judged/"))
    assert "was started" in browser.post("/process/evaluate", form).words
    described = ended(account, "Processing", form["name"])
    assert described["ProcessingJobStatus"] == "Completed", described.get("FailureReason")
    assert described["ExitMessage"] in browser.get(f"/jobs/processing/{form['name']}").words
    assert read_object(account, f"{form['out:1:uri']}evaluation.json")


def test_a_model_goes_over_a_folder_and_once_more(account: Account, browser: Browser, bucket: str) -> None:
    values = {"num_round": "3", "objective": "binary:logistic"}
    request = training_request(account, bucket, hyperparameters=values)
    account.client("sagemaker").create_training_job(**request)
    name = request["TrainingJobName"]
    wait_for_job(account, name)
    assert f"/transform/job/{name}" in browser.get(f"/jobs/training/{name}").text
    form = fields(browser.get(f"/transform/job/{name}"))
    asked = form | {"data": f"s3://{bucket}/train/", "shown": "$[1:]", "join": "on", "kept": "$[0,-1]"}
    none = browser.post(f"/transform/job/{name}", asked | {"type": "ml.none.large"})
    assert 'role="alert"' in none.text
    assert account.client("sagemaker").list_models(NameContains=form["name"][:40])["Models"] == []
    assert "The job was started" in browser.post(f"/transform/job/{name}", asked).words
    described = ended(account, "Transform", form["name"])
    assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
    lines = read_object(account, f"{form['output']}rows.csv.out").decode().split()
    assert len(lines) == 200
    assert all(len(line.split(",")) == 2 for line in lines)

    page = browser.get(f"/jobs/transform/{form['name']}")
    assert "from sagemaker.transformer import Transformer" in page.words
    again = f"/transform/model/{described['ModelName']}?like={form['name']}"
    assert again.replace("&", "&amp;") in page.text
    changed = fields(browser.get(again))
    assert (changed["shown"], changed["join"], changed["kept"]) == ("$[1:]", "on", "$[0,-1]")
    assert "was started" in browser.post(again, changed | {"kept": "$[-1]"}).words
    described = ended(account, "Transform", changed["name"])
    assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
    assert b"," not in read_object(account, f"{form['output']}rows.csv.out")
