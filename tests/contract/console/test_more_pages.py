"""Experiments, lineage, uploads, users, quotas, health, coverage, samples: as a person finds them."""

import html
import json
import re
import time
import urllib.parse
import urllib.request
from datetime import UTC, datetime

import pytest

from clary.kernel import ids
from clary.testing.jobs import ScriptJob, new_bucket, pack
from clary.testing.server import Account, ClaryServer

from .browser import Browser
from .conftest import signed_in

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture(scope="module")
def browser(account: Account) -> Browser:
    return signed_in(account)


@pytest.fixture(scope="module")
def experiment(account):
    """An experiment of two runs, one of them with markup in its names."""
    sagemaker, name = account.client("sagemaker"), f"asked-{ids.short()}"
    sagemaker.create_experiment(ExperimentName=name, Description=EVIL)
    sagemaker.create_trial(TrialName=name, ExperimentName=name)
    for n, lr in enumerate((0.1, 0.3)):
        run = f"{name}-{n}"
        sagemaker.create_trial_component(
            TrialComponentName=run,
            Parameters={"lr": {"NumberValue": lr}, EVIL: {"StringValue": EVIL}},
        )
        sagemaker.associate_trial_component(TrialComponentName=run, TrialName=name)
        points = [
            {"MetricName": metric, "Timestamp": datetime.now(UTC), "Step": step, "Value": lr / (step + 1)}
            for step in range(5)
            for metric in ("loss", EVIL)
        ]
        account.client("sagemaker-metrics").batch_put_metrics(TrialComponentName=run, MetricData=points)
    return name


def test_runs_of_an_experiment_are_compared_as_a_table_and_as_curves(browser, experiment):
    assert experiment in browser.get(f"/experiments?name={experiment}").words
    page = browser.get(f"/experiments/{experiment}?sort=Metrics.loss.Last&order=Ascending")
    assert page.text.index(f"{experiment}-0") < page.text.index(f"{experiment}-1"), "the lower loss first"
    charts = [json.loads(each) for each in re.findall(r"application/json\">(.*?)</script>", page.text)]
    assert [each["x"] for each in charts] == [[0, 1, 2, 3, 4]] * 2
    assert [each["values"][0] for each in charts[1]["series"]] == [0.1, 0.3]
    only = browser.get(f"/experiments/{experiment}?runs={experiment}-1")
    charts = [json.loads(each) for each in re.findall(r"application/json\">(.*?)</script>", only.text)]
    assert len(charts[0]["series"]) == 1
    assert browser.get("/experiments/none-such").status == 404


def test_names_parameters_and_metrics_with_markup_are_text(browser, experiment):
    for path in ("/experiments", f"/experiments/{experiment}"):
        page = browser.get(path)
        assert EVIL in page.words
        assert "<img src=x" not in page.text


def test_a_jobs_lineage_is_drawn_with_links(browser, account):
    job = ScriptJob.create(account, f"print({EVIL!r})")
    job.wait()
    arn = account.client("sagemaker").describe_training_job(TrainingJobName=job.name)["TrainingJobArn"]
    deadline = time.monotonic() + 60
    while "<svg" not in (page := browser.get(f"/lineage?of={arn}")).text and time.monotonic() < deadline:
        time.sleep(0.1)
    assert f"/jobs/training/{job.name}" in page.text
    assert page.text.count("<rect") >= 2, "the job, and its image"
    assert "Nothing is known" in browser.get("/lineage?of=s3://none/such").words
    assert "Recorded last" in browser.get("/lineage").words
    log = browser.get(f"/jobs/training/{job.name}")
    assert EVIL in log.words
    assert "<img src=x" not in log.text


def put(url, body):
    request = urllib.request.Request(url, body, method="PUT")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers["ETag"]


def test_files_are_brought_whole_and_in_parts(browser, account):
    bucket = new_bucket(account)
    token = browser.get(f"/data/{bucket}").form_token
    form = {"form_token": token, "do": "begin", "type": "text/plain"}
    small = json.loads(browser.post(f"/data/{bucket}/a/small.txt", form | {"size": "5"}).text)
    put(small["urls"][0], b"words")
    path, content = f"/data/{bucket}/a/large.bin", bytes(17 << 20)
    large = json.loads(browser.post(path, form | {"size": str(len(content))}).text)
    part = large["part"]
    tags = [put(url, content[n * part : (n + 1) * part]) for n, url in enumerate(large["urls"])]
    assert len(tags) == 2
    ending = {"form_token": token, "do": "complete", "upload": large["upload"], "tags": "\n".join(tags)}
    assert json.loads(browser.post(path, ending).text) == {}
    s3 = account.client("s3")
    assert s3.head_object(Bucket=bucket, Key="a/large.bin")["ContentLength"] == len(content)
    assert s3.get_object(Bucket=bucket, Key="a/small.txt")["Body"].read() == b"words"
    taken = browser.once("POST", path, {"form_token": token, "do": "download"})
    with urllib.request.urlopen(taken.headers["location"], timeout=60) as answer:
        assert "large.bin" in answer.headers["content-disposition"]
        assert len(answer.read()) == len(content)
    begun = json.loads(browser.post(path, form | {"size": str(len(content))}).text)
    aborted = {"form_token": token, "do": "abort", "upload": begun["upload"]}
    assert json.loads(browser.post(path, aborted).text) == {}
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert "error" in json.loads(browser.post("/data/none-such-bucket/x", form | {"size": "99999999"}).text)


def test_a_user_gets_a_key_that_signs_in_until_it_is_out_of_use(browser, account):
    page = browser.get("/account")
    page = browser.post("/account", {"do": "create", "form_token": page.form_token, "name": "ada"})
    token = page.form_token
    assert "The user was created" in page.words
    page = browser.post("/account/users/ada", {"do": "key", "form_token": token})
    key, secret = re.findall(r"<dd>([^<]+)</dd>", page.text)[-2:]
    assert secret not in browser.get("/account/users/ada").text
    other = Browser(account.url)
    assert account.account_id in other.post("/sign-in", {"name": key, "secret": secret}).words
    browser.post("/account/users/ada", {"do": "Inactive", "key": key, "form_token": token})
    assert Browser(account.url).post("/sign-in", {"name": key, "secret": secret}).status == 403
    browser.post("/account/users/ada", {"do": "delete_key", "key": key, "form_token": token})
    assert (
        "ada was deleted" in browser.post("/account/users/ada", {"do": "delete", "form_token": token}).words
    )


def test_quotas_health_and_coverage_are_told(browser, account):
    words = browser.get("/account").words
    assert re.search(r"Total number of notebook instances\s+0\s+3\s+3", words)
    health = browser.get("/health").words
    assert "Everything answers" in health or "Slow" in health
    coverage = browser.get("/coverage?name=TrainingJob").words
    assert "CreateTrainingJob" in coverage
    assert "CreateUserProfile" not in coverage
    assert "planned" in browser.get("/coverage").words


def test_a_price_is_the_accounts_own_until_it_is_taken_back(browser, clary_server):
    form = {"do": "price", "form_token": browser.get("/account").form_token, "type": "ml.m5.large"}
    assert "ml.m5.large: $0.02 an hour" in browser.post("/account", form | {"price": "0.02"}).words
    assert re.search(r"ml\.m5\.large\s+0\.020\s+you", browser.get("/account").words)
    assert not re.search(r"0\.020\s+you", signed_in(clary_server.account()).get("/account").words)
    for price in ("-1", "nan", "much", "1e9"):
        assert "A price is a number" in browser.post("/account", form | {"price": price}).words
    assert "is no instance type" in browser.post("/account", form | {"type": "m5", "price": "1"}).words
    assert "the table's own price" in browser.post("/account", form | {"price": ""}).words
    assert re.search(r"ml\.m5\.large\s+0\.115\s+the table", browser.get("/account").words)


def test_a_form_acts_on_the_object_whose_page_it_is_on_whatever_its_key(browser, account):
    bucket, key, s3 = new_bucket(account), "a b/ü & 100%.csv", account.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=b"1,2")
    page = browser.get(f"/data/{bucket}/{urllib.parse.quote(key)}")
    (action,) = {html.unescape(each) for each in re.findall(r'action="[^"]*(/data/[^"]+)"', page.text)}
    form = {"form_token": page.form_token}
    assert browser.post(action, form | {"do": "download"}).text == "1,2"
    assert "was deleted" in browser.once("POST", action, form | {"do": "delete"}).headers["location"].replace(
        "%20", " "
    )
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_files_of_an_archive_are_looked_into_and_taken(browser, account):
    bucket = new_bucket(account)
    body = pack({"code/rows.csv": "a,b\n1,2\n", f"{EVIL}.txt": EVIL})
    account.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=body)
    page = browser.get(f"/data/{bucket}/model.tar.gz")
    assert "?member=code%2Frows.csv" in page.text or "?member=code/rows.csv" in page.text
    assert EVIL in page.words
    assert "<img src=x" not in page.text
    inside = browser.get(f"/data/{bucket}/model.tar.gz?member=code/rows.csv")
    assert "<th" in inside.text
    form = {"do": "download", "member": "code/rows.csv", "form_token": page.form_token}
    assert browser.post(f"/data/{bucket}/model.tar.gz", form).text == "a,b\n1,2\n"
    assert browser.get(f"/data/{bucket}/model.tar.gz?member=none").status == 404


def test_a_studio_domain_is_made_and_deleted(browser, account):
    token = browser.get("/studio").form_token
    page = browser.post("/studio", {"form_token": token, "name": "team"})
    assert "The domain was created" in page.words
    path = page.path.partition("?")[0]
    assert "ada" in browser.post(path, {"form_token": token, "do": "user", "name": "ada"}).words
    assert "plans" in browser.post(path, {"form_token": token, "do": "space", "name": "plans"}).words
    browser.post(path, {"form_token": token, "do": "delete", "space": "plans"})
    browser.post(path, {"form_token": token, "do": "delete", "user": "ada"})
    assert "The domain was deleted" in browser.post(path, {"form_token": token, "do": "delete"}).words


def test_predictions_are_calibrated_and_sliced(browser, account):
    bucket = new_bucket(account)
    rows = [f"{n % 2},{(n % 2) * 0.5 + (n % 10) / 20},{'<b>a</b>' if n % 3 else 'z'}" for n in range(600)]
    body = "\n".join(["label,score,part", *rows]).encode()
    for name in ("one.csv", "two.csv"):
        account.client("s3").put_object(Bucket=bucket, Key=name, Body=body)
    page = browser.get(f"/evaluate?uris=s3://{bucket}/one.csv%0As3://{bucket}/two.csv&slice=part")
    for text in ("Calibration error", "ROC of all", "Slices of", "By part"):
        assert text in page.text, text
    assert page.words.count("<b>a</b>") == 2
    assert "<b>a" not in page.text
    assert "has no column" in browser.get(f"/evaluate?uris=s3://{bucket}/one.csv&slice=none").words
