"""A notebook as a person meets it: opened from the console, a cell run; its page cannot reach the console."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.testing.notebooks import create
from clary.testing.server import Account, ClaryServer, end_agents

PYTHON = Path(os.environ.get("CLARY_TEST_NOTEBOOK_PYTHON", ".venvs/notebooks/bin/python")).absolute()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not PYTHON.exists(), reason="needs .venvs/notebooks, which `make test-all` makes"),
]
ASKED = """async (url) => {
    try { return (await fetch(url, {credentials: 'include'})).status; } catch { return 'refused'; }
}"""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    home = tmp_path_factory.mktemp("lab")
    for folder in (home, *home.parents[:2]):
        folder.chmod(0o711)
    server = ClaryServer.start(home / "data", notebook_python=str(PYTHON))
    yield server.account()
    server.stop()
    end_agents(server.settings)


def test_a_cell_runs_and_the_consoles_session_is_out_of_its_reach(page: Any, account: Account) -> None:
    assert create(account, "lab")["NotebookInstanceStatus"] == "InService"
    page.goto("/_clary/console/notebooks/lab")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open JupyterLab").click()
    lab = opened.value
    lab.locator(".jp-Launcher").wait_for(timeout=120_000)
    lab.locator(".jp-LauncherCard").first.click()
    cell = lab.locator(".jp-Notebook .cm-content").first
    cell.wait_for(timeout=90_000)
    lab.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for(timeout=90_000)
    cell.click()
    lab.keyboard.type("6 * 7")
    lab.keyboard.press("Shift+Enter")
    lab.locator(".jp-OutputArea-output", has_text="42").wait_for(timeout=90_000)
    console = f"{account.url}/_clary/console/account"
    assert lab.evaluate(ASKED, console) == "refused"
    assert lab.evaluate(ASKED, "/_clary/console/account") == "refused"
