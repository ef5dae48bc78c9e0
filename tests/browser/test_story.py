"""The demo's whole story in a browser, once by mouse and once by keys alone; and markup wherever it fits."""

from typing import Any

import pytest

from clary.kernel import ids
from clary.testing.jobs import new_bucket
from clary.testing.server import Account

from .test_console import check, endpoint, model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
__all__ = ["endpoint", "model"]
EVIL = "<img src=x onerror=document.title='taken'>"
FOCUSED = """() => {
    const it = document.activeElement;
    return (it.getAttribute("aria-label") || it.labels?.[0]?.textContent || it.textContent).trim();
}"""
MORE_PAGES = ("/experiments", "/lineage", "/studio", "/health", "/coverage")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", MORE_PAGES)
def test_a_page_is_accessible_and_narrow(page: Any, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"/_clary/console{path}")
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


def tab_to(page: Any, text: str, most: int = 120) -> None:
    """Press Tab until what has the focus reads as said."""
    for _ in range(most):
        page.keyboard.press("Tab")
        shown = page.evaluate(FOCUSED)
        if shown.startswith(text):
            return
    raise AssertionError(f"Tab does not lead to {text!r}")


def test_the_story_by_keys_alone(page: Any, account: Account, endpoint: str, model: tuple[str, str]) -> None:
    """From the start page to a job, its lineage, and an answer of the endpoint, without a pointer."""
    page.goto("/_clary/console/")
    tab_to(page, "Training jobs")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Training jobs").wait_for()
    tab_to(page, model[0])
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=model[0]).wait_for()
    tab_to(page, "Find")
    page.keyboard.type("nothing has this")
    assert page.locator(".log > div:visible").count() == 0
    page.goto("/_clary/console/")
    tab_to(page, "Endpoints")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Endpoints").wait_for()
    tab_to(page, endpoint)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=endpoint).wait_for()
    tab_to(page, "Body")
    page.keyboard.type("1,0,0,0")
    tab_to(page, "Ask")
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("from one").wait_for()
    page.goto("/_clary/console/")
    tab_to(page, "Sign out")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Sign in to Clary").wait_for()


@pytest.fixture(scope="module")
def marked(account: Account) -> dict[str, str]:
    """Things with markup wherever a name takes it: keys, contents, parameters, metrics, descriptions."""
    sagemaker, name = account.client("sagemaker"), f"marked-{ids.short(6)}"
    bucket = new_bucket(account)
    for key in (f"{EVIL}.txt", f"{EVIL}/inner.csv"):
        account.client("s3").put_object(Bucket=bucket, Key=key, Body=f"{EVIL},{EVIL}\n".encode())
    sagemaker.create_experiment(ExperimentName=name, Description=EVIL)
    sagemaker.create_trial(TrialName=name, ExperimentName=name)
    sagemaker.create_trial_component(TrialComponentName=name, Parameters={EVIL: {"StringValue": EVIL}})
    sagemaker.associate_trial_component(TrialComponentName=name, TrialName=name)
    points = [{"MetricName": EVIL, "Timestamp": 1_700_000_000 + n, "Step": n, "Value": n} for n in range(3)]
    account.client("sagemaker-metrics").batch_put_metrics(TrialComponentName=name, MetricData=points)
    sagemaker.create_artifact(
        Source={"SourceUri": f"s3://{bucket}/{EVIL}"}, ArtifactType=EVIL[:30], ArtifactName="x"
    )
    return {"bucket": bucket, "experiment": name}


@pytest.mark.parametrize(
    "path",
    [
        "/data/{bucket}",
        "/data/{bucket}/" + EVIL.replace("/", "") + ".txt",
        "/experiments",
        "/experiments/{experiment}",
        "/lineage",
        "/lineage?of=s3://{bucket}/" + EVIL,
        "/evaluate?uris=" + EVIL,
        "/coverage?name=" + EVIL,
        "/?notice=" + EVIL,
    ],
)
def test_markup_is_never_run(page: Any, marked: dict[str, str], path: str) -> None:
    page.goto(f"/_clary/console{path.format(**marked)}")
    page.wait_for_timeout(300)
    assert page.locator("img[src=x]").count() == 0
    assert page.title() != "taken"
