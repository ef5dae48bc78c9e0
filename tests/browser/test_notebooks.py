"""Notebooks as a person meets them, from the console or Studio; their pages cannot reach the console."""

from typing import Any

import pytest

from clary.testing.notebooks import create
from clary.testing.server import Account, ClaryServer

from .steps import PATIENCE_MS, TRAIN, check, run_cell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ASKED = """async (url) => {
    try { return (await fetch(url, {credentials: 'include'})).status; } catch { return 'refused'; }
}"""
EVIL = """
from IPython.display import HTML
HTML("<b id=mark>marked</b><img src=x onerror='window.ran = document.cookie.length + 1'>"
     "<iframe src='%s/_clary/console/account'></iframe>")
"""


@pytest.fixture(scope="module")
def account(lab_server: ClaryServer) -> Account:
    return lab_server.account()


def test_a_cell_runs_and_the_consoles_session_is_out_of_its_reach(page: Any, account: Account) -> None:
    described = create(account, "lab")
    assert described["NotebookInstanceStatus"] == "InService", described
    page.goto("/_clary/console/notebooks/lab")
    check(page)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open JupyterLab").click()
    lab = opened.value
    lab.locator(".jp-LauncherCard").first.click(timeout=PATIENCE_MS)
    lab.locator(".jp-Notebook .cm-content").first.click(timeout=PATIENCE_MS)
    run_cell(lab, EVIL % account.url, "marked")
    console = f"{account.url}/_clary/console/account"
    assert lab.evaluate(ASKED, console) == "refused"
    assert lab.evaluate(ASKED, "/_clary/console/account") == "refused"
    assert "clary-console" not in lab.evaluate("document.cookie")
    words = [frame.locator("body").inner_text() for frame in lab.frames if "/console/" in frame.url]
    assert not any(account.account_id in each for each in words), "a frame shows nothing of the console"
    lab.close()
    account.client("sagemaker").stop_notebook_instance(NotebookInstanceName="lab")


def test_studio_opens_a_real_jupyterlab_in_which_a_cell_trains(page: Any, account: Account) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Studio").click()
    page.get_by_label("Name", exact=True).fill("team")
    page.get_by_role("button", name="Create").click()
    for kind, name in (("user profile", "ada"), ("space", "plans")):
        form = page.locator("form", has=page.get_by_label(f"Name of a new {kind}"))
        form.get_by_label(f"Name of a new {kind}").fill(name)
        form.get_by_role("button", name="Create").click()
        page.get_by_role("cell", name=name, exact=True).wait_for()
    check(page)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open JupyterLab of plans").click()
    lab = opened.value
    lab.locator(".jp-LauncherCard").first.click(timeout=PATIENCE_MS)
    lab.locator(".jp-Notebook .cm-content").first.click(timeout=PATIENCE_MS)
    run_cell(lab, TRAIN, "the job has Completed")
    lab.close()
    row = page.get_by_role("row", name="plans")
    row.get_by_text("InService").wait_for()
    row.get_by_role("button", name="End").click()
    row.get_by_role("button", name="Delete").wait_for(timeout=PATIENCE_MS)
