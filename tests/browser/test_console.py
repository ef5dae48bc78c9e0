"""The story in a browser: sign in, watch a job, open the pictures, ask the endpoint; by mouse and by keys."""

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

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs axe: requirements/browser.lock"
)
np = pytest.importorskip("numpy")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SLOW = """
import time
for line in range(400):
    print(f"tick {line} at {time.time()}; loss={1 / (line + 1)};", flush=True)
    time.sleep(0.25)
"""
PAGES = (
    "/",
    "/jobs/training",
    "/jobs/processing",
    "/jobs/transform",
    "/jobs/tuning",
    "/endpoints",
    "/notebooks",
    "/models",
    "/data",
    "/account",
    "/evaluate",
)


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


def check(page: Any) -> None:
    """Hold the page in view to accessibility and to 320 pixels."""
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    before = page.viewport_size
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.set_viewport_size(before)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_and_narrow(page: Any, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"/_clary/console{path}")
    check(page)


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
    assert log.locator("div:visible").count() < 12
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("status").get_by_text("asked to stop").wait_for()
    page.locator("#live_actions").get_by_text("Stopped").wait_for(timeout=60_000)


def test_a_finished_job_is_read_by_keyboard_alone(page: Any, model: tuple[str, str]) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Training jobs":
            break
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Training jobs").wait_for()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == model[0]:
            break
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=model[0]).wait_for()
    page.locator("figure.chart").first.wait_for()
    check(page)


def test_the_endpoint_is_asked(page: Any, endpoint: str) -> None:
    page.goto(f"/_clary/console/endpoints/{endpoint}")
    page.get_by_label("Body").fill("1,0,0,0")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("status").get_by_text("from one").wait_for()
    check(page)
    page.reload()


def test_data_is_browsed(page: Any, model: tuple[str, str]) -> None:
    bucket = model[1].removeprefix("s3://").partition("/")[0]
    page.get_by_role("link", name="Data").click()
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
