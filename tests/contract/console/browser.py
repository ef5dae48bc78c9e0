"""A browser without pictures: cookies, forms, redirects; what a page's markup says."""

import html
import http.client
import re
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

BASE = "/_clary/console"


@dataclass
class Page:
    status: int
    headers: dict[str, str]
    text: str
    path: str

    @property
    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.text)
        assert found is not None, self.text[:500]
        return found[1]

    @property
    def words(self) -> str:
        """What a person reads."""
        return html.unescape(re.sub(r"<[^>]+>", " ", self.text))


@dataclass
class Browser:
    url: str
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Page:
        return self.ask("GET", path, None, headers)

    def post(self, path: str, form: dict[str, str], **headers: str) -> Page:
        return self.ask("POST", path, form, headers)

    def ask(self, method: str, path: str, form: dict[str, str] | None, headers: dict[str, str]) -> Page:
        """Ask, and follow redirects as a browser does."""
        for _ in range(5):
            page = self.once(method, path, form, headers)
            if page.status != 303:
                return page
            method, path, form = "GET", page.headers["location"].removeprefix(BASE), None
        raise AssertionError("redirects without end")

    def once(
        self,
        method: str,
        path: str,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Page:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if form is not None:
            sent["content-type"] = "application/x-www-form-urlencoded"
        connection.request(method, f"{BASE}{path}", urlencode(form) if form is not None else None, sent)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        fields = {name.lower(): value for name, value in answer.getheaders()}
        connection.close()
        if "set-cookie" in fields:
            name, _, value = fields["set-cookie"].partition(";")[0].partition("=")
            self.cookies[name] = value
        return Page(answer.status, fields, text, path)
