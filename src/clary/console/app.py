"""The console's requests: static files, sign-in, and every page by its path."""

import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from clary.console import live, render, session
from clary.console.api import Api, Key, Transport
from clary.console.cost import Costs
from clary.console.public import Public
from clary.console.session import PATH, Seal
from clary.console.visit import Answer, Download, Leave, Missing, Page, Redirect, Visit
from clary.kernel import registry
from clary.kernel.errors import AwsError

log = logging.getLogger("clary.console")

PACKAGE = "clary.console.pages"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_IMMUTABLE = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to the browser; `pieces` in place of `body` is a stream."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    pieces: AsyncIterator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the browser sent."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    form: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Server:
    """What the console asks of the server it runs in."""

    transport: Transport
    key: Callable[[str], Key | None]
    """Access key id to the key, if it is known and not over."""
    password: Callable[[str], tuple[str, str] | None]
    """Name of an account to its password's hash and an access key of it; None where none is set."""
    end: Callable[[str], None]
    """Delete the temporary key of a session."""
    prices: Callable[[str], Mapping[str, float]]
    """Account id to what an hour costs it, by the instance types that it has said."""
    keep_price: Callable[[str, str, float | None], None]
    """Keep what an hour of an instance type costs an account; None forgets it."""
    clock: Callable[[], datetime]
    region: str
    public_url: str
    """The public address, as this process reaches it."""
    data_dir: Path
    coverage: Callable[[], Mapping[str, Mapping[str, str]]]
    """Operations of each service that is served, with why one is refused; empty where it is served."""


@dataclass(frozen=True, slots=True)
class _Member:
    pattern: re.Pattern[str]
    name: str
    page: Page
    module: ModuleType


class Console:
    """Answers below `/_clary/console`."""

    def __init__(self, server: Server, seal: Seal) -> None:
        self.server = server
        self.seal = seal
        self._members = [
            _Member(re.compile(module.PAGE.path), name, module.PAGE, module)
            for name, package in registry.members(PACKAGE)
            for module in [registry.member(package.__name__, "page")]
        ]
        self._places = sorted(
            (place for member in self._members for place in member.page.places),
            key=lambda place: (place.order, place.title),
        )

    def answer(
        self, method: str, raw_path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """Answer one request."""
        path = raw_path.removeprefix(PATH) or "/"
        if path.startswith("/static/"):
            return _static(path.removeprefix("/static/"))
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True) if method == "POST" else []
        asked = Asked(method, path, dict(parse_qsl(query)), headers, dict(form))
        address = _address(asked, self.server.public_url)
        try:
            return self._page(asked, address)
        except Missing as error:
            return self._trouble(404, "Not found", str(error), address)
        except AwsError as error:
            return self._trouble(400, error.wire_code, error.message, address)
        except Exception:
            log.exception("%s %s failed", method, path)
            text = "This page failed. The control plane's log says why."
            return self._trouble(500, "Something went wrong", text, address)

    def _page(self, asked: Asked, address: str) -> Reply:
        found = next(
            ((each, match) for each in self._members if (match := each.pattern.fullmatch(asked.path))), None
        )
        if found is None:
            raise Missing(f"There is no page at {asked.path}.")
        member, match = found
        jar = session.cookies(asked.headers.get("cookie", ""))
        key_id = self.seal.access_key_id(jar.get(session.COOKIE, ""))
        key = self.server.key(key_id) if key_id else None
        if member.page.is_public:
            reply: Reply = member.module.answer(self, asked, key, address)
            return reply
        if key is None:
            return _to_sign_in(asked)
        if asked.method == "POST" and not self._is_ours(asked, key, address):
            return self._trouble(
                403, "Refused", "This form did not come from a page of your session.", address
            )
        region = jar.get(session.REGION_COOKIE, "")
        visit = self._visit(asked, match, key, region if _REGION.fullmatch(region) else "", address)
        frame = self.frame(member, visit, address)
        if asked.query.get("live"):
            return self._stream(member, visit, frame, asked)
        act = member.module.act if asked.method == "POST" else member.module.view
        return self._rendered(member, act(visit), frame, address)

    def _visit(self, asked: Asked, match: re.Match[str], key: Key, region: str, address: str) -> Visit:
        api = Api(self.server.transport, key, region or self.server.region)
        return Visit(
            api=api,
            arguments=tuple(unquote(group or "") for group in match.groups()),
            query=asked.query,
            form=asked.form,
            now=self.server.clock(),
            form_token=self.seal.form_token(key.access_key_id),
            address=address,
            path=asked.path,
            data_dir=self.server.data_dir,
            costs=Costs(
                self.server.data_dir,
                partial(self.server.prices, key.account),
                partial(self.server.keep_price, key.account),
            ),
            public=Public(self.server.public_url, api),
            coverage=self.server.coverage,
        )

    def frame(self, member: _Member, visit: Visit, address: str) -> dict[str, Any]:
        """Return what the layout around every page shows."""
        return {
            "title": member.page.title,
            "scripts": member.page.scripts,
            "places": self._places,
            "here": visit.path,
            "visit": visit,
            "address": address,
            "notice": visit.query.get("notice", ""),
            "is_live": True,
        }

    def _stream(self, member: _Member, visit: Visit, frame: Mapping[str, Any], asked: Asked) -> Reply:
        if last := asked.headers.get("last-event-id"):
            visit = Visit(**{**_fields(visit), "query": {**visit.query, "after": last}})
        pieces = live.stream(
            f"{member.name}/page.html",
            member.module.view,
            visit,
            frame,
            every_s=member.page.live_s,
            follow=getattr(member.module, "follow", None),
        )
        headers = {
            "content-type": "text/event-stream",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
        }
        return Reply(200, headers, pieces=pieces)

    def _rendered(self, member: _Member, answer: Answer, frame: Mapping[str, Any], address: str) -> Reply:
        if isinstance(answer, Redirect):
            return redirect(answer.path, answer.notice)
        if isinstance(answer, Leave):
            return Reply(303, {"location": answer.url, "cache-control": "no-store"})
        if isinstance(answer, Download):
            name = quote(answer.name, safe="")
            headers = {
                "content-type": answer.content_type,
                "content-disposition": f"attachment; filename*=UTF-8''{name}",
                "content-security-policy": "sandbox",
                "x-content-type-options": "nosniff",
            }
            return Reply(200, headers, answer.content)
        body = render.page(f"{member.name}/page.html", {**frame, **answer})
        return Reply(200, render.headers(address), body)

    def _is_ours(self, asked: Asked, key: Key, address: str) -> bool:
        origin = asked.headers.get("origin")
        return origin in {None, address} and self.seal.is_form_token(
            key.access_key_id, asked.form.get("form_token", "")
        )

    def _trouble(self, status: int, title: str, text: str, address: str) -> Reply:
        body = render.page("trouble.html", {"title": title, "text": text, "scripts": ()})
        return Reply(status, render.headers(address), body)


def redirect(path: str, notice: str = "", cookies: str = "") -> Reply:
    """Return a redirect to a path below the console's own."""
    mark = "&" if "?" in path else "?"
    target = f"{PATH}{path}" + (f"{mark}notice={quote(notice)}" if notice else "")
    headers = {"location": target, "cache-control": "no-store"}
    return Reply(303, headers | ({"set-cookie": cookies} if cookies else {}))


def _to_sign_in(asked: Asked) -> Reply:
    if asked.query.get("live"):
        return Reply(401, {"content-type": "text/plain"}, b"signed out\n")
    return redirect(f"/sign-in?next={quote(asked.path, safe='')}")


def _static(name: str) -> Reply:
    found = render.static(name)
    if found is None:
        return Reply(404, {"content-type": "text/plain"}, b"not found\n")
    headers = {"content-type": found[1], "cache-control": _IMMUTABLE, "x-content-type-options": "nosniff"}
    return Reply(200, headers, found[0])


def _address(asked: Asked, default: str) -> str:
    """Return scheme and host as the browser used them."""
    host = asked.headers.get("host", "")
    if not re.fullmatch(r"[A-Za-z0-9.\-\[\]:]+", host):
        return default
    return f"{urlsplit(default).scheme}://{host}"


def _fields(visit: Visit) -> dict[str, Any]:
    return {name: getattr(visit, name) for name in visit.__dataclass_fields__}
