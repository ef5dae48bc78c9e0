"""Notebook instances behind the public port: their sessions, their requests, their WebSockets.

browser ──▶ host name of the notebooks? ──▶ session? ──▶ own page? ──▶ the instance's unix socket
              └─ redirected there   └─ token in the address: the control plane redeems it, once

What comes from JupyterLab may be anybody's code. So it lives under another host name than the console, where
it can act as no session but its own.
"""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from clary.gateway.connect import splice
from clary.gateway.edge.control import ControlPlane, Lab
from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.head import Lines
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.relay import Away, forward, framing, passed_on
from clary.gateway.edge.upstream import Address, Pool
from clary.kernel.settings import Settings

if TYPE_CHECKING:
    from clary.gateway.edge.connection import Connection

COOKIE = "clary-notebook"
CONSOLE = "/_clary/console"
REST_S = 30.0
_PATH = re.compile(r"(/_clary/notebook/(\d{12})/([a-z0-9-]+)/([a-zA-Z0-9-]+))(/.*)?")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d+)?")
_TOKEN = re.compile(r"(?:^|&)authToken=")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_MAX_HEAD_BYTES = 64 * 1024
_OURS = frozenset({b"cookie", b"authorization", b"proxy-authorization", b"proxy-connection"})
_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Notebook</title>"
    "<body><h1>{title}</h1><p>{text}</p></body></html>\n"
)
_HEADERS = (
    b"content-type: text/html; charset=utf-8\r\ncache-control: no-store\r\n"
    b"content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
    b"x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"
)


class Notebooks:
    """Answers below `/_clary/notebook/`."""

    def __init__(
        self, control: ControlPlane, limits: Limits, settings: Settings, clock: Callable[[], float]
    ) -> None:
        self._control = control
        self._limits = limits
        self._clock = clock
        self._console_host = urlsplit(settings.url).hostname or settings.host
        domain = settings.notebook_domain
        parts = [re.escape(part) for part in domain.lower().split("*")]
        self._own = re.compile("[a-z0-9]+".join(parts)) if domain else None
        self._domain = domain
        self._pools: dict[str, Pool] = {}

    def keeps_apart(self, exchange: Exchange) -> bool:
        """Send the console's visitors away from the notebooks' host name; say whether that was needed."""
        head = exchange.head
        if not head.path.startswith(CONSOLE) or self._own is None:
            return False
        name, port = _host(head.fields)
        if not self._own.fullmatch(name):
            return False
        _redirect(exchange, f"//{self._console_host}{port}{head.target.decode('ascii')}")
        return True

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request: pass it on to the instance, or say why not."""
        lab, head = await self._admitted(exchange), exchange.head
        if lab is None:
            return
        lines = [
            b"%b %b HTTP/1.1\r\n" % (head.method.encode(), head.target),
            _passed(head.lines),
            framing(exchange),
            b"\r\n",
        ]
        whole = b"".join(lines)
        try:
            await forward(
                exchange,
                lambda: self._pool(lab),
                lambda: whole,
                patience_s=1.0,
                answer_s=self._limits.answer_s,
                may_repeat=head.method in _SAFE,
                is_chunked=head.chunked,
            )
        except (Away, TimeoutError):
            self._is_away(exchange)

    async def open(self, connection: "Connection", exchange: Exchange, rest: bytes) -> None:
        """Open a WebSocket to the instance: from its answer on, bytes go both ways as they come."""
        connection.pause(exchange)
        lab, head = await self._admitted(exchange), exchange.head
        if lab is None:
            return
        opening = _Opening()
        try:
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: opening, lab.address)
            opening.transport.write(
                b"GET %b HTTP/1.1\r\n%bconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
                % (head.target, _passed(head.lines))
            )
            answer, early = await asyncio.wait_for(opening.answer, self._limits.invocation_s)
        except (OSError, ValueError, TimeoutError):
            opening.drop()
            self._is_away(exchange)
            return
        if not answer.startswith(b"HTTP/1.1 101 "):
            opening.drop()
            connection.close_after = True
            _say(exchange, 403, "Refused", "The notebook does not open this connection.")
            return
        if exchange.is_gone:
            opening.drop()
            return
        connection.write(answer + b"\r\n\r\n" + early)
        splice(connection.hand_over(), opening.transport, rest)

    async def _admitted(self, exchange: Exchange) -> Lab | None:
        """Return the instance that a request may go to; else answer it."""
        head = exchange.head
        match = _PATH.fullmatch(head.path)
        if match is None or self._is_elsewhere(exchange, match):
            _say(exchange, 404, "Not found", "There is no notebook here.")  # unless it is answered already
            return None
        if head.method == "GET" and _TOKEN.search(head.query) and not head.upgrades:
            await self._control.answer(exchange)
            return None
        try:
            lab = await self._control.notebooks.find("/".join(match.groups()[1:4]))
        except Away:
            self._is_away(exchange)
            return None
        if lab is None or not _has_session(head.fields, lab):
            # the same for what does not exist: nobody learns the names of another account's instances
            text = "Your session is over, or never was. Open the notebook again from the console."
            _say(exchange, 403, "No session", text)
            return None
        if not _is_own(head.fields, head.method, upgrades=head.upgrades):
            _say(exchange, 403, "Refused", "This request came from another site.")
            return None
        return lab

    def _is_elsewhere(self, exchange: Exchange, match: re.Match[str]) -> bool:
        """Lead a request to the right host name and path; say whether it was not there."""
        head = exchange.head
        host, port = _host(head.fields)
        if self._own is None or not self._own.fullmatch(host):
            if head.method == "GET" and not head.upgrades and self._own and "*" not in self._domain:
                _redirect(exchange, f"//{self._domain}{port}{head.target.decode('ascii')}")
            else:
                _say(exchange, 421, "Not here", "Notebooks have a host name of their own.")
            return True
        if match[5] is None:
            _redirect(exchange, f"{match[1]}/{'?' if head.query else ''}{head.query}")
            return True
        return False

    def _is_away(self, exchange: Exchange) -> None:
        _say(exchange, 503, "Not now", "The notebook does not answer. It may be starting or stopping.")

    def _pool(self, lab: Lab) -> Pool:
        pool = self._pools.get(lab.address)
        if pool is None:
            pool = self._pools[lab.address] = Pool(Address(path=lab.address), self._clock, rest_s=REST_S)
        return pool

    def sweep(self) -> None:
        """Close connections that rested too long."""
        for pool in self._pools.values():
            pool.sweep()

    def close(self) -> None:
        """Close every connection at rest."""
        for pool in self._pools.values():
            pool.close()


def signature(seal: str, expires: str) -> str:
    """Return what proves that a session until `expires` was granted."""
    return hmac.new(seal.encode(), expires.encode(), hashlib.sha256).hexdigest()


def _has_session(fields: Mapping[str, str], lab: Lab) -> bool:
    """Tell whether a request carries a session of this instance that is not over."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(fields.get("cookie", ""))
    except CookieError:
        return False
    morsel = jar.get(COOKIE)
    expires, _, proof = (morsel.value if morsel else "").partition(".")
    if not hmac.compare_digest(proof.encode(), signature(lab.seal, expires).encode()):
        return False
    return expires.isdigit() and int(expires) > time.time()


def _is_own(fields: Mapping[str, str], method: str, *, upgrades: bool) -> bool:
    """Tell whether a request comes from a page of the notebooks, or from no page at all.

    Browsers tell the origin with everything that changes something, and with every WebSocket.
    """
    origin, host = fields.get("origin"), fields.get("host", "").lower()
    if origin is not None:
        return origin.lower() in {f"http://{host}", f"https://{host}"}
    site = fields.get("sec-fetch-site", "none")
    if upgrades or method not in _SAFE:
        return site in {"none", "same-origin"}
    return site in {"none", "same-origin"} or fields.get("sec-fetch-mode") == "navigate"


def _host(fields: Mapping[str, str]) -> tuple[str, str]:
    """Return the host name of a request, and its port with the colon."""
    match = _HOST.fullmatch(fields.get("host", ""))
    return (match[1].lower(), match[2] or "") if match else ("", "")


def _passed(lines: Lines) -> bytes:
    """Return the headers for JupyterLab: our session and other credentials stay here."""
    kept = [each for each in lines if not each[0].lower().startswith(b"x-clary-")]
    others = []
    for name, value in lines:
        if name.lower() == b"cookie":
            others += [
                each.strip()
                for each in value.split(b";")
                if each.strip().partition(b"=")[0].strip() != COOKIE.encode()
            ]
    cookie = b"cookie: %b\r\n" % b"; ".join(others) if others else b""
    return passed_on([each for each in kept if each[0].lower() not in _OURS]) + cookie


def _redirect(exchange: Exchange, target: str) -> None:
    exchange.answer(303, b"location: %b\r\ncache-control: no-store\r\n" % target.encode("ascii"))


def _say(exchange: Exchange, status: int, title: str, text: str) -> None:
    exchange.answer(status, _HEADERS, _PAGE.format(title=title, text=text).encode())


class _Opening(asyncio.Protocol):
    """Reads the head of the answer to a WebSocket's request."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.answer: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        self._held += data
        head, end, early = self._held.partition(b"\r\n\r\n")
        if end:
            self.transport.pause_reading()
            self.answer.set_result((head, early))
        elif len(self._held) > _MAX_HEAD_BYTES:
            self.answer.set_exception(ValueError("the answer is no HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(ConnectionError("the notebook closed the connection"))

    def drop(self) -> None:
        """Close at once."""
        if hasattr(self, "transport"):
            self.transport.abort()
