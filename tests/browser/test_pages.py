"""Every page that a link leads to, with markup where a text takes it: accessible, narrow, in both themes."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest

from clary.testing.marked import MARKUP, Marked
from clary.testing.server import Account

from .steps import check

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
BASE = "/_clary/console"
LINKS = """() => [...document.querySelectorAll("a[href]:not([target])")].map(
    (each) => new URL(each.getAttribute("href"), location).href)"""
AWAY = ("/region", "/open")


@pytest.fixture(scope="module")
def marked(account: Account) -> Iterator[Marked]:
    marked = Marked.of(account)
    yield marked
    marked.clear()


def visited(page: Any, starts: list[str]) -> Iterator[str]:
    """Yield the path of every page that links lead to, with the page in view."""
    waiting, seen = ["/", *starts], set[str]()
    while waiting:
        target = waiting.pop()
        path = unquote(target.partition("?")[0])
        if path in seen or path.endswith(AWAY):
            continue
        seen.add(path)
        page.goto(f"{BASE}{target}")
        links = [urlsplit(each) for each in page.evaluate(LINKS)]
        waiting += [
            f"{each.path.removeprefix(BASE)}?{each.query}" for each in links if each.path.startswith(BASE)
        ]
        yield path


def test_every_page_is_accessible_narrow_and_runs_nothing(page: Any, marked: Marked) -> None:
    bucket = marked.names["bucket"]
    judged = f"/evaluate?uris=s3://{bucket}/predictions.csv&slice=part"
    count = 0
    for path in visited(page, [judged, f"/lineage?of={quote(f's3://{bucket}/{MARKUP}')}"]):
        count += 1
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            check(page)
        assert page.locator("img[src=x]").count() == 0, path
        assert page.title() != "taken", path
    assert count > 40
