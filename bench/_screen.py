"""When a printed line is drawn: a browser that watches a job's page."""

import os
import shutil
from collections.abc import Callable

from bench._bars import Report, spread

from clary.testing.jobs import wait_for_job
from clary.testing.server import Account

BASE = "/_clary/console"
MOST_MS = 500.0
WATCH = """() => {
  window.drawn = [];
  new MutationObserver((changes) => requestAnimationFrame(() => {
    const now = Date.now();
    for (const change of changes) for (const line of change.addedNodes) {
      const printed = /^at (\\d+\\.\\d+)/.exec(line.textContent);
      if (printed) window.drawn.push(now - 1000 * Number(printed[1]));
    }
  })).observe(document.querySelector(".log"), { childList: true });
}"""


def measure(report: Report, account: Account, begin: Callable[[], str], n_lines: int) -> None:
    """Watch a job that begins to print, and has this name; judge how late its lines are drawn.

    Nothing is measured where there is no Chromium or no playwright; the report says so.
    """
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an environment's of its own
    except ImportError:
        chromium = None
    if chromium is None:
        print("\nno Chromium, or no playwright: nothing is measured in a browser")
        return
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(base_url=account.url).new_page()
        page.goto(f"{BASE}/")
        page.get_by_label("Access key ID").fill(account.access_key_id)
        page.get_by_label("Secret access key").fill(account.secret_access_key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Home").wait_for()
        name = begin()
        page.goto(f"{BASE}/jobs/training/{name}")
        page.evaluate(WATCH)
        wait_for_job(account, name, limit_s=120)
        page.wait_for_timeout(1000)
        late_ms = page.evaluate("window.drawn")
        browser.close()
    assert len(late_ms) > n_lines // 2, f"{len(late_ms)} of {n_lines} lines were drawn"
    found = spread(late_ms)
    report.table(f"A printed line drawn by Chromium, {len(late_ms)} lines", ("", "ms"), list(found.items()))
    report.facts["drawn_ms"] = found
    report.bar("log line drawn by a browser, p99", found["p99"], MOST_MS)
