"""From an empty Clary to a tuned model in service, and a notebook: once by mouse, once by keys alone."""

from pathlib import Path
from typing import Any

import pytest

from clary.kernel import ids
from clary.testing.jobs import new_bucket
from clary.testing.server import Account, ClaryServer

from .steps import PATIENCE_MS, TRAIN, check, run_cell, tab_to

np = pytest.importorskip("numpy")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROUNDS = "400"


@pytest.fixture(scope="module")
def account(lab_server: ClaryServer) -> Account:
    return lab_server.account()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Write a folder of data, as a person has it on a disk."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(3_000, 6))
    rows[:, 0] = rows[:, 1] + rows[:, 2] + generator.normal(size=3_000) > 0
    for name, some in (("train", rows[:2_000]), ("validation", rows[2_000:])):
        (tmp_path / "churn" / name).mkdir(parents=True)
        np.savetxt(tmp_path / f"churn/{name}/rows.csv", some, delimiter=",", fmt="%.5f")
    labels = (generator.random(2_000) < 0.2).astype(int)
    scores = np.clip(0.25 + 0.4 * labels + generator.normal(0, 0.15, 2_000), 0, 1)
    lines = [f"{label},{score:.6f}" for label, score in zip(labels, scores, strict=True)]
    (tmp_path / "churn/predictions.csv").write_text("\n".join(["label,score", *lines]))
    return tmp_path / "churn"


def cost(page: Any) -> float:
    return float(page.locator("[data-cell=cost]").inner_text().replace(",", ""))


def brought(page: Any, bucket: str, files: Path) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Data").click()
    page.get_by_label("Name of a new bucket").fill(bucket)
    page.get_by_role("button", name="Create").click()
    page.locator("input[webkitdirectory]").set_input_files(files)
    uploads = page.get_by_role("status", name="Uploads")
    for name in ("train/rows.csv", "validation/rows.csv", "predictions.csv"):
        uploads.get_by_text(f"{name} is there").wait_for()


def trained(page: Any, bucket: str) -> None:
    for name in ("churn/", "train/"):
        page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("link", name="Train on this folder").click()
    page.get_by_role("link", name="XGBoost").click()
    page.get_by_label("validation", exact=True).fill(f"s3://{bucket}/churn/validation/")
    page.get_by_label("num_round").fill(ROUNDS)
    page.get_by_text("more, which have defaults").click()
    page.get_by_label("objective", exact=True).select_option("binary:logistic")
    page.get_by_label("eval_metric").fill("auc,logloss")
    check(page)
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("log").get_by_text("[5]").first.wait_for()
    page.locator("figure.chart canvas").first.wait_for()
    stands(page, "Completed")
    check(page)


def tuned(page: Any) -> None:
    page.get_by_role("link", name="Tune", exact=True).click()
    page.get_by_label("Trials").fill("5")
    page.get_by_label("num_round from").fill("3")
    page.get_by_label("num_round to").fill("30")
    for name in ("num_round", "max_depth"):
        page.get_by_role("checkbox", name=name).check()
    check(page)
    page.get_by_role("button", name="Tune", exact=True).click()
    stands(page, "Completed")
    for text in ("better ones are drawn stronger", "Rank correlation", "by eta", "by trial"):
        page.locator("figure.picture", has_text=text).first.wait_for()
    check(page)


def asked(page: Any) -> None:
    page.get_by_role("link", name="Deploy the best").click()
    page.get_by_role("button", name="Deploy", exact=True).click()
    stands(page, "InService")
    page.get_by_label("Body").fill("1,0,0,0,0")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("status").get_by_text("from AllTraffic").wait_for()
    check(page)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("status").get_by_text("is being deleted").wait_for()


def judged(page: Any, bucket: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Evaluate").click()
    page.get_by_label("Files, one a line").fill(f"s3://{bucket}/churn/predictions.csv")
    page.get_by_role("button", name="Judge").click()
    slider = page.get_by_role("slider", name="Threshold")
    least = cost(page)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    assert cost(page) > least
    check(page)


def written(page: Any) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Notebooks").click()
    page.get_by_label("Name", exact=True).fill("mouse")
    page.get_by_role("button", name="Create").click()
    opening = page.get_by_role("link", name="Open JupyterLab")
    opening.wait_for(timeout=PATIENCE_MS)
    check(page)
    with page.context.expect_page() as opened:
        opening.click()
    lab = opened.value
    lab.locator(".jp-LauncherCard").first.click(timeout=PATIENCE_MS)
    lab.locator(".jp-Notebook .cm-content").first.click(timeout=PATIENCE_MS)
    run_cell(lab, TRAIN, "the job has Completed")
    lab.close()
    page.get_by_role("button", name="Stop").click()
    stands(page, "Stopped")


def stands(page: Any, status: str) -> None:
    """Wait until what the page shows has a status, without touching it."""
    page.locator(".head .status", has_text=status).wait_for(timeout=PATIENCE_MS)


def test_by_mouse(page: Any, files: Path) -> None:
    bucket = f"story-{ids.short()}"
    page.on("dialog", lambda dialog: dialog.accept())
    brought(page, bucket, files)
    trained(page, bucket)
    tuned(page)
    asked(page)
    judged(page, bucket)
    written(page)


class Keys:
    """A person without a pointer."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def type(self, **fields: str) -> None:
        """Go to fields by Tab, one after the other, and type."""
        for label, text in fields.items():
            tab_to(self.page, label)
            self.page.keyboard.press("Control+A")
            self.page.keyboard.type(text)

    def press(self, text: str, *, to: str = "", key: str = "Enter") -> None:
        """Go to a link or a button by Tab, press it, and wait for the page whose heading it leads to."""
        tab_to(self.page, text)
        self.page.keyboard.press(key)
        if to:
            self.page.get_by_role("heading", name=to).wait_for()

    def sign_in(self, account: Account) -> None:
        self.page.goto("/_clary/console/")
        for label, text in (
            ("Access key ID, or account name", account.access_key_id),
            ("Secret access key, or console password", account.secret_access_key),
        ):
            tab_to(self.page, label)
            self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")
        self.page.get_by_role("heading", name="Home").wait_for()
        self.page.keyboard.press("Tab")
        assert self.page.evaluate("document.activeElement.textContent") == "Skip to content"
        self.page.keyboard.press("Enter")

    def train(self, bucket: str) -> None:
        self.press("Train a model", to="Train a model")
        self.press("XGBoost", to="Train XGBoost")
        self.type(train=f"s3://{bucket}/train/", validation=f"s3://{bucket}/validation/", num_round=ROUNDS)
        self.press("Train")
        self.page.get_by_role("log").get_by_text("[5]").first.wait_for()
        stands(self.page, "Completed")
        self.type(Find="nothing has this")
        assert self.page.locator(".log > div:visible").count() == 0
        self.page.reload()

    def tune(self) -> None:
        self.press("Tune", to="Tune ")
        self.type(Trials="3")
        self.press("max_depth", key="Space")
        self.press("Tune")
        stands(self.page, "Completed")
        self.page.locator("figure.picture").nth(3).wait_for()

    def ask(self) -> None:
        self.press("Deploy the best", to="Deploy ")
        self.press("Deploy")
        stands(self.page, "InService")
        self.type(Body="1,0,0,0,0")
        self.press("Ask")
        self.page.get_by_role("status").get_by_text("from AllTraffic").wait_for()
        self.page.goto(self.page.url.partition("#")[0])
        self.press("Delete")
        self.page.get_by_role("status").get_by_text("is being deleted").wait_for()

    def judge(self, bucket: str) -> None:
        self.press("Evaluate", to="Evaluate")
        tab_to(self.page, "Files, one a line")
        self.page.keyboard.type(f"s3://{bucket}/predictions.csv")
        self.press("Judge")
        self.page.locator(".judged").wait_for()
        tab_to(self.page, "Threshold")
        least = cost(self.page)
        self.page.keyboard.press("End")
        assert cost(self.page) > least

    def write(self) -> None:
        self.press("Notebooks", to="Notebooks")
        self.type(Name="keys")
        self.press("Create")
        self.page.get_by_role("link", name="Open JupyterLab").wait_for(timeout=PATIENCE_MS)
        with self.page.context.expect_page() as opened:
            self.press("Open JupyterLab")
        lab = opened.value
        lab.locator(".jp-Launcher").wait_for(timeout=PATIENCE_MS)
        lab.keyboard.press("Control+Shift+C")
        lab.locator(".lm-CommandPalette-input").first.wait_for(timeout=PATIENCE_MS)
        lab.keyboard.type("New Notebook")
        lab.locator(".lm-CommandPalette-item.lm-mod-active").first.wait_for()
        lab.keyboard.press("Enter")
        lab.locator(".jp-Dialog").get_by_role("button", name="Select Kernel").wait_for(timeout=PATIENCE_MS)
        lab.keyboard.press("Enter")
        lab.locator(".jp-Notebook .cm-content").first.wait_for(timeout=PATIENCE_MS)
        lab.keyboard.press("Enter")
        run_cell(lab, TRAIN, "the job has Completed")
        lab.close()
        self.press("Stop")
        stands(self.page, "Stopped")


def test_by_keys_alone(chromium: Any, account: Account, files: Path) -> None:
    bucket = new_bucket(account)
    for path in files.rglob("*.csv"):
        key = str(path.relative_to(files))
        account.client("s3").put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=account.url)
    page, complaints = context.new_page(), list[str]()
    page.set_default_timeout(60_000)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: dialog.accept())
    keys = Keys(page)
    keys.sign_in(account)
    keys.train(bucket)
    keys.tune()
    keys.ask()
    keys.judge(bucket)
    keys.write()
    keys.press("Sign out", to="Sign in to Clary")
    context.close()
    assert complaints == []
