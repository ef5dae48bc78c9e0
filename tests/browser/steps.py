"""What several stories do: hold a page to its promises, work a JupyterLab."""

from typing import Any

import pytest

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs axe: requirements/browser.lock"
)

NARROW, PATIENCE_MS = 320, 120_000
FOCUSED = """() => {
    const it = document.activeElement;
    return (it.getAttribute("aria-label") || it.labels?.[0]?.textContent || it.textContent).trim();
}"""
TRAIN = """
import sagemaker
from sagemaker.estimator import Estimator
role, session = sagemaker.get_execution_role(), sagemaker.Session()
print("rows", open("rows.csv", "w").writelines(f"{n % 2},{n % 2 + n / 100},{n % 7}\\n" for n in range(200)))
data = session.upload_data("rows.csv", key_prefix="notebook")
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1")
estimator = Estimator(image, role, instance_count=1, instance_type="ml.m5.large", sagemaker_session=session, \
hyperparameters={"num_round": 3, "objective": "binary:logistic"})
estimator.fit({"train": sagemaker.inputs.TrainingInput(data, content_type="text/csv")}, logs=False)
print("the job has", estimator.latest_training_job.describe()["TrainingJobStatus"])
"""


def check(page: Any) -> None:
    """Hold the page in view to accessibility and to 320 pixels."""
    found = axe.Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
    before = page.viewport_size
    page.set_viewport_size({"width": NARROW, "height": 700})
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size(before)
    assert wide <= NARROW, f"{page.url} is {wide} pixels wide"


def tab_to(page: Any, text: str, most: int = 150) -> None:
    """Press Tab until what has the focus reads as said, whole."""
    seen = []
    for _ in range(most):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
        if seen[-1] == text:
            return
    raise AssertionError(f"Tab does not lead to {text!r}; it led to {seen}")


def run_cell(lab: Any, source: str, said: str) -> None:
    """Type into the first cell of the notebook in view, run it, and wait until it has said something."""
    lab.locator(".jp-Notebook .cm-content").first.wait_for(timeout=PATIENCE_MS)
    lab.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for(timeout=PATIENCE_MS)
    lab.keyboard.insert_text(source)
    lab.keyboard.press("Shift+Enter")
    outputs = lab.locator(".jp-OutputArea-output")
    outputs.filter(has_text=said).or_(outputs.filter(has_text="Traceback")).first.wait_for(
        timeout=PATIENCE_MS
    )
    assert outputs.filter(has_text=said).count() > 0, outputs.all_inner_texts()
