"""Walks the console as a person could: every link of every page, and every form on them."""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from clary.console.app import PACKAGE
from clary.kernel import registry

from .browser import BASE, Browser, Page

MOST_PAGES = 400


@dataclass(frozen=True)
class Form:
    """A form that changes something."""

    path: str
    fields: dict[str, str]


@dataclass
class Walk:
    """What one visitor came to: pages by their path and query, and the forms on them."""

    browser: Browser
    pages: dict[str, Page] = field(default_factory=dict)
    forms: list[Form] = field(default_factory=list)

    @classmethod
    def of(cls, browser: Browser, *starts: str) -> "Walk":
        """Follow every link, each kind of question once a path."""
        walk, waiting, kinds = cls(browser), ["/", *starts], set[str]()
        while waiting:
            path = waiting.pop()
            if _kind(path) in kinds:
                continue
            kinds.add(_kind(path))
            page = walk.pages[path] = browser.once("GET", path)
            waiting += _links(page, path)
            walk.forms += list(_forms(page, path))
            assert len(walk.pages) < MOST_PAGES, "the console has no end"
        return walk

    def reached(self) -> set[str]:
        """Return the names of the pages' folders that were come to."""
        paths = {_path(each) for each in self.pages}
        return {
            name for name, pattern in patterns().items() if any(re.fullmatch(pattern, path) for path in paths)
        }


def patterns() -> dict[str, str]:
    """Return the pattern of the path of every page, by its folder."""
    return {
        name: registry.member(package.__name__, "page").PAGE.path
        for name, package in registry.members(PACKAGE)
    }


def _path(path: str) -> str:
    return unquote(path.partition("?")[0].partition("#")[0])


def _kind(path: str) -> str:
    """Return what two addresses share that need not both be visited: path, and names of what is asked."""
    query = sorted({name for name, _ in parse_qsl(urlsplit(path).query)})
    return f"{_path(path)}?{','.join(query)}"


def _links(page: Page, path: str) -> Iterator[str]:
    here = path.partition("?")[0]
    location = page.headers.get("location", "")
    for target in [location, *re.findall(r'href="([^"]+)"', page.text)]:
        link = html.unescape(target)
        if link.startswith("?"):
            yield f"{here}{link}"
        elif link.startswith(f"{BASE}/") and not link.startswith(f"{BASE}/static/"):
            yield link.removeprefix(BASE)


def _forms(page: Page, path: str) -> Iterator[Form]:
    for attributes, inner in re.findall(r"<form([^>]*)>(.*?)</form>", page.text, re.DOTALL):
        if 'method="post"' not in attributes:
            continue
        action = re.search(r'action="([^"#]+)"', attributes)
        target = html.unescape(action[1]).removeprefix(BASE) if action else path
        sent = {}
        for tag in re.findall(r"<(?:input|button|select|textarea)[^>]*>", inner):
            name, value = (re.search(rf'\b{each}="([^"]*)"', tag) for each in ("name", "value"))
            if name:
                sent[html.unescape(name[1])] = html.unescape(value[1]) if value else ""
        yield Form(target, sent)


def missing(walk: Walk, without: Sequence[str] = ()) -> set[str]:
    """Return the pages that no link leads to."""
    return set(patterns()) - walk.reached() - set(without)
