"""From nothing to a tuned model in service, by forms alone: as one who never reads an API page."""

import html
import re
import time

import numpy as np
import pytest

from clary.kernel import ids
from clary.testing.jobs import wait_for_endpoint, wait_for_job
from clary.testing.server import Account, ClaryServer

from .browser import Browser, Page
from .conftest import signed_in


@pytest.fixture(scope="module")
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture(scope="module")
def browser(account: Account) -> Browser:
    return signed_in(account)


def fields(page: Page) -> dict[str, str]:
    """Return what a form sends as it stands: inputs, the chosen of lists, boxes that are ticked."""
    form = page.text[page.text.index('<form method="post" class="stack') :]
    sent = {}
    for tag in re.findall(r"<input [^>]+>", form.partition("</form>")[0]):
        name, value = (re.search(rf' {each}="([^"]*)"', tag) for each in ("name", "value"))
        assert name is not None
        if 'type="checkbox"' not in tag or "checked" in tag:
            sent[name[1]] = html.unescape(value[1]) if value else "on"
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        first = re.search(r'<option(?: value="([^"]*)")?>([^<]*)', options)
        found = chosen or first
        assert found is not None
        sent[name] = found[1] if found[1] is not None else found[2]
    return sent


@pytest.fixture(scope="module")
def bucket(account: Account, browser: Browser) -> str:
    name = f"made-{ids.short()}"
    page = browser.post(
        "/data", {"do": "create", "name": name, "form_token": browser.get("/data").form_token}
    )
    assert "The bucket was created" in page.words
    rows = np.random.default_rng(0).normal(size=(200, 5))
    rows[:, 0] = rows[:, 1] > 0
    body = "\n".join(",".join(f"{value:.4f}" for value in row) for row in rows).encode()
    for part in ("train", "validation"):
        account.client("s3").put_object(Bucket=name, Key=f"{part}/rows.csv", Body=body)
    return name


@pytest.fixture(scope="module")
def trained(account: Account, browser: Browser, bucket: str) -> str:
    assert f"/train?data=s3%3A%2F%2F{bucket}%2Ftrain%2F" in browser.get(f"/data/{bucket}/train/").text
    assert "Gradient boosted trees" in browser.get(f"/train?data=s3://{bucket}/train/").words
    page = browser.get(f"/train/xgboost?data=s3://{bucket}/train/")
    form = fields(page)
    assert form["data:train"] == f"s3://{bucket}/train/"
    assert form["content:train"] == "text/csv"
    assert f's3://{bucket}/validation/"' in page.text, "the list offers the folders there are"
    chosen = {"data:validation": f"s3://{bucket}/validation/", "hp:objective": "binary:logistic"}
    page = browser.post("/train/xgboost", form | chosen | {"hp:num_round": "3", "hp:eval_metric": "auc"})
    assert "The job was started" in page.words
    described = wait_for_job(account, form["name"])
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    return form["name"]


def test_what_is_wrong_is_said_and_what_was_typed_stays(browser: Browser, bucket: str) -> None:
    form = fields(browser.get("/train/kmeans"))
    page = browser.post(
        "/train/kmeans", form | {"data:train": f"s3://{bucket}/train/", "hp:k": "0", "hp:feature_dim": "4"}
    )
    assert page.status == 200
    assert 'role="alert"' in page.text
    assert f's3://{bucket}/train/"' in page.text
    assert fields(page)["hp:feature_dim"] == "4"
    assert browser.get("/train/none").status == 404
    taken = browser.post("/data", {"do": "create", "name": "No", "form_token": page.form_token})
    assert "bucket" in taken.words


def test_a_job_is_changed_and_run(browser: Browser, trained: str) -> None:
    page = browser.get(f"/jobs/training/{trained}")
    assert f"/train/xgboost?like={trained}" in page.text
    form = fields(browser.get(f"/train/xgboost?like={trained}"))
    assert form["hp:num_round"] == "3"
    assert form["hp:objective"] == "binary:logistic"
    assert form["name"] != trained


def test_a_job_is_tuned_and_the_best_trial_deployed_and_asked(
    account: Account, browser: Browser, trained: str
) -> None:
    page = browser.get(f"/tune/{trained}")
    form = fields(page)
    assert form["objective"] == "validation:auc"
    only = {name: value for name, value in form.items() if not name.startswith("tune:")}
    assert "Tick at least one" in browser.post(f"/tune/{trained}", only).words
    wrong = only | {"tune:eta": "on", "low:eta": "0.5", "high:eta": "0.1"}
    assert 'role="alert"' in browser.post(f"/tune/{trained}", wrong).text
    asked = only | {"tune:eta": "on", "strategy": "Random", "trials": "2", "stopping": "Off"}
    page = browser.post(f"/tune/{trained}", asked)
    assert "The tuning job was started" in page.words
    deadline = time.monotonic() + 120
    while "Deploy the best" not in (page := browser.get(f"/jobs/tuning/{form['name']}")).text:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    found = re.search(r'href="[^"]*(/deploy/job/[^"]+)"', page.text)
    assert found is not None
    form = fields(browser.get(found[1]))
    name = form["name"] = f"made-{ids.short()}"
    none = browser.post(found[1], form | {"type": "ml.none.large"})
    assert 'role="alert"' in none.text
    assert account.client("sagemaker").list_models(NameContains=name)["Models"] == []
    assert "The endpoint is being created" in browser.post(found[1], form).words
    wait_for_endpoint(account, name)
    asked = {"do": "ask", "form_token": form["form_token"], "body": "1,0,0,0", "content_type": "text/csv"}
    assert "from AllTraffic" in browser.post(f"/endpoints/{name}", asked).words
    model = account.client("sagemaker").list_models(NameContains=name)["Models"][0]["ModelName"]
    assert f"/deploy/model/{model}" in browser.get("/models").text
    form = fields(browser.get(f"/deploy/model/{model}")) | {"name": name}
    assert "The endpoint is being updated" in browser.post(f"/deploy/model/{model}", form).words
    wait_for_endpoint(account, name)
    account.client("sagemaker").delete_endpoint(EndpointName=name)
