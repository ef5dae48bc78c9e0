"""Chromium of the system, one context a test; whatever a page complains of fails the test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.testing.server import Account, ClaryServer, end_agents

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: requirements/browser.lock")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
LAB = Path(os.environ.get("CLARY_TEST_NOTEBOOK_PYTHON", ".venvs/notebooks/bin/python")).absolute()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    """Yield a Clary whose notebooks are real ones."""
    if not LAB.exists():
        pytest.skip("needs .venvs/notebooks, which `make test-all` makes")
    home = tmp_path_factory.mktemp("lab")
    for folder in (home, *home.parents[:2]):
        folder.chmod(0o711)
    server = ClaryServer.start(home / "data", notebook_python=str(LAB))
    yield server
    server.stop()
    end_agents(server.settings)


@pytest.fixture
def page(chromium: Any, account: Account) -> Iterator[Any]:
    """A page that is signed in; console errors and failed scripts are collected and fail the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=account.url)
    complaints: list[str] = []
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page, account)
    yield page
    context.close()
    assert complaints == []


def sign_in(page: Any, account: Account) -> None:
    page.goto("/_clary/console/")
    page.get_by_label("Access key ID").fill(account.access_key_id)
    page.get_by_label("Secret access key").fill(account.secret_access_key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Home").wait_for()
