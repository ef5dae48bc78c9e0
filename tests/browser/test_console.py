"""The console in a browser, thing by thing: jobs, endpoints, data, uploads, lineage, users, the slider."""

from typing import Any

import pytest

from clary.kernel import ids
from clary.testing.jobs import (
    SCIKIT_LEARN,
    XGBOOST,
    ScriptJob,
    new_bucket,
    training_request,
    upload_csv,
    wait_for_endpoint,
    wait_for_job,
)
from clary.testing.server import Account

from .steps import check

np = pytest.importorskip("numpy")

pytestmark = pytest.mark.slow

SLOW = """
import time
for line in range(400):
    print(f"tick {line} at {time.time()}; loss={1 / (line + 1)};", flush=True)
    time.sleep(0.25)
"""


@pytest.fixture(scope="module")
def model(account: Account) -> tuple[str, str]:
    rows = np.random.default_rng(0).normal(size=(200, 5))
    rows[:, 0] = rows[:, 1] > 0
    bucket = upload_csv(account, "train/rows.csv", rows)
    request = training_request(
        account, bucket, hyperparameters={"num_round": "50", "objective": "binary:logistic"}
    )
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"])
    return request["TrainingJobName"], described["ModelArtifacts"]["S3ModelArtifacts"]


@pytest.fixture(scope="module")
def endpoint(account: Account, model: tuple[str, str]) -> str:
    sagemaker, name = account.client("sagemaker"), f"browsed-{ids.short()}"
    container = {"Image": XGBOOST, "ModelDataUrl": model[1]}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=account.role_arn, PrimaryContainer=container)
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


def test_a_running_job_is_watched_and_stopped(page: Any, account: Account) -> None:
    job = ScriptJob.create(
        account,
        SLOW,
        AlgorithmSpecification={
            "TrainingImage": SCIKIT_LEARN,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
        },
    )
    job.wait(until={"Training"})
    page.get_by_role("link", name="Training jobs").click()
    page.get_by_role("link", name=job.name).click()
    log = page.get_by_role("log")
    log.get_by_text("tick 3 ").wait_for()
    log.get_by_text("tick 12 ").wait_for()
    page.locator("figure.chart canvas").first.wait_for()
    page.get_by_label("Find").fill("tick 5 ")
    page.get_by_label("Follow").uncheck()
    assert log.locator("div:visible").count() < 12, "what was sought stays when a person goes on"
    assert not page.get_by_label("Follow").is_checked()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("status").get_by_text("asked to stop").wait_for()
    page.locator("#live_actions").get_by_text("Stopped").wait_for(timeout=60_000)


def test_the_endpoint_is_asked_with_a_text_and_with_a_file(page: Any, endpoint: str) -> None:
    page.goto(f"/_clary/console/endpoints/{endpoint}")
    page.get_by_label("Body").fill("1,0,0,0")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("status").get_by_text("from one").wait_for()
    check(page)
    page.goto(f"/_clary/console/endpoints/{endpoint}")
    rows = {"name": "rows.csv", "mimeType": "text/csv", "buffer": b"1,0,0,0\n0,0,0,0\n"}
    page.get_by_label("Or a file").set_input_files(rows)
    page.locator("[name=file]:not([value=''])").wait_for(state="attached")
    page.get_by_role("button", name="Ask", exact=True).click()
    answer = page.get_by_role("status").locator("pre")
    answer.wait_for()
    assert len(answer.inner_text().split()) == 2


def test_data_is_browsed(page: Any, model: tuple[str, str]) -> None:
    bucket = model[1].removeprefix("s3://").partition("/")[0]
    page.get_by_role("link", name="Data", exact=True).click()
    page.get_by_role("link", name=bucket).click()
    page.get_by_role("link", name="train/").click()
    page.get_by_role("link", name="rows.csv").click()
    page.get_by_role("region", name="Preview").wait_for()
    check(page)
    with page.expect_download() as got:
        page.get_by_role("button", name="Download").click()
    assert got.value.suggested_filename == "rows.csv"


def test_the_threshold_slider_moves_counts_and_cost(page: Any, account: Account) -> None:
    generator = np.random.default_rng(1)
    labels = (generator.random(2000) < 0.2).astype(int)
    scores = np.clip(0.25 + 0.4 * labels + generator.normal(0, 0.15, 2000), 0, 1)
    rows = "label,score\n" + "\n".join(f"{a},{b:.6f}" for a, b in zip(labels, scores, strict=True))
    bucket = new_bucket(account)
    account.client("s3").put_object(Bucket=bucket, Key="predictions.csv", Body=rows.encode())
    page.goto("/_clary/console/evaluate")
    page.get_by_label("Files, one a line").fill(f"s3://{bucket}/predictions.csv")
    page.get_by_role("button", name="Judge").click()
    page.locator(".judged, .reason").first.wait_for()
    assert page.locator(".reason").count() == 0, page.locator(".reason").inner_text()
    slider = page.get_by_role("slider", name="Threshold")
    cost = page.locator("[data-cell=cost]")
    least = float(cost.inner_text().replace(",", ""))
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight", "Home", "End"):
        slider.press(key)
        assert float(cost.inner_text().replace(",", "")) >= least
    cells = {
        name: int(page.locator(f"[data-cell={name}]").inner_text().replace(",", ""))
        for name in ("tp", "fn", "fp", "tn")
    }
    assert cells == {"tp": int(labels.sum()), "fn": 0, "fp": int((1 - labels).sum()), "tn": 0}
    before = float(cost.inner_text().replace(",", ""))
    page.get_by_label("A false alarm costs").fill("2")
    assert float(cost.inner_text().replace(",", "")) == 2 * before
    check(page)


def test_files_and_folders_are_dropped_and_taken(page: Any, account: Account, tmp_path: Any) -> None:
    bucket = new_bucket(account)
    (tmp_path / "small.csv").write_text("1,2\n3,4\n")
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(20 << 20))
    page.goto(f"/_clary/console/data/{bucket}")
    chooser = page.locator("input[type=file]").first
    chooser.set_input_files([tmp_path / "small.csv", large])
    uploads = page.get_by_role("status", name="Uploads")
    uploads.get_by_text("large.bin is there").wait_for(timeout=60_000)
    page.get_by_role("link", name="small.csv").wait_for()
    check(page)
    assert account.client("s3").head_object(Bucket=bucket, Key="large.bin")["ContentLength"] == 20 << 20
    page.get_by_role("link", name="large.bin").click()
    with page.expect_download() as got:
        page.get_by_role("button", name="Download").click()
    assert got.value.suggested_filename == "large.bin"


def test_lineage_leads_from_the_data_to_the_job(page: Any, model: tuple[str, str]) -> None:
    page.goto(f"/_clary/console/jobs/training/{model[0]}")
    page.get_by_role("link", name="Lineage").last.click()
    graph = page.get_by_role("region", name="Graph")
    graph.locator("text.name", has_text=model[0][-15:]).first.wait_for()
    check(page)
    graph.locator("text.name", has_text=model[0][-15:]).first.click()
    page.get_by_role("heading", name=model[0]).wait_for()


def test_a_form_that_changes_something_waits_for_its_button(page: Any) -> None:
    page.goto("/_clary/console/account")
    page.get_by_label("Instance type").fill("ml.m5.large")
    page.get_by_label("Dollars an hour").fill("0.02")
    page.get_by_role("button", name="Keep").click()
    page.get_by_role("status").get_by_text("$0.02 an hour").wait_for()
    check(page)


def test_a_model_is_registered_decided_on_and_compared(page: Any, model: tuple[str, str]) -> None:
    page.goto(f"/_clary/console/jobs/training/{model[0]}")
    page.get_by_role("link", name="Register").last.click()
    page.get_by_label("Group").fill(f"browsed-{ids.short(5)}")
    page.get_by_role("button", name="Register").click()
    page.get_by_role("status").get_by_text("was registered").wait_for()
    for decision, said in (("Rejected", "nothing can be made"), ("Approved", "it can be deployed")):
        page.get_by_label("Decision").select_option(decision)
        page.get_by_label("Why").fill(f"it is {decision}")
        page.get_by_role("button", name="Decide").click()
        page.get_by_role("status").get_by_text(said).wait_for()
    check(page)
    page.get_by_label("Path").or_(page.locator(".crumbs")).get_by_role("link").last.click()
    page.get_by_role("region", name="Versions").get_by_text("it is Approved").wait_for()
    check(page)
    page.get_by_role("link", name="Deploy 1").click()
    page.get_by_role("heading", name="Deploy browsed").wait_for()


def test_a_user_is_made_and_its_key_put_out_of_use(page: Any) -> None:
    name = f"ada-{ids.short(5)}"
    page.goto("/_clary/console/account")
    page.get_by_label("Name of a new user").fill(name)
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Make a key").click()
    page.get_by_text("only time that the secret is shown").wait_for()
    check(page)
    page.get_by_role("button", name="Put out of use").click()
    page.get_by_text("Inactive").wait_for()
    check(page)
