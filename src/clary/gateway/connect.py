"""The CONNECT proxy: TLS for AWS host names is ended here, every other host is tunnelled untouched.

The SDKs dial hosts such as sts.us-east-1.amazonaws.com whatever the endpoint variables say
(reference/sdk-compat, section 2); `clary env` points HTTPS_PROXY here.
"""

import asyncio
import base64
import ipaddress
import re
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import unquote, urlsplit

from clary.gateway.edge.exchange import Exchange
from clary.kernel.settings import Settings

if TYPE_CHECKING:
    from clary.gateway.edge.connection import Connection

OPEN_S = 30.0
"""That a host, or the proxy on the way to it, may take to answer."""
_AWS_HOST = re.compile(r"(?:^|\.)(?:amazonaws\.com|amazonaws\.com\.cn|api\.aws)$")
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_MAX_HEAD_BYTES = 16 * 1024


def is_aws(host: str) -> bool:
    """Tell whether Clary answers for `host`."""
    return _AWS_HOST.search(host) is not None


def upstream_proxy(environ: Mapping[str, str], settings: Settings) -> str:
    """Return the URL of the proxy that leads out of here, or an empty text."""
    for variable in ("CLARY_UPSTREAM_PROXY", "HTTPS_PROXY", "https_proxy"):
        url = environ.get(variable, "").strip()
        if url and not _is_ours(url, settings):
            return url
    return ""


def _is_ours(url: str, settings: Settings) -> bool:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    return parts.port == settings.port and (parts.hostname or "") in {
        settings.host,
        "127.0.0.1",
        "localhost",
        "::1",
    }


class Speaker(Protocol):
    """What the proxy needs of the edge."""

    def speak_tls(self, transport: asyncio.Transport, first: bytes, authority: str) -> None:
        """Go on with TLS on a connection, as `authority`."""


class ConnectProxy:
    """Answers CONNECT, for clients on this machine only."""

    def __init__(self, edge: Speaker, upstream: str = "") -> None:
        self._edge = edge
        self._upstream = (
            urlsplit(upstream if "://" in upstream else f"http://{upstream}") if upstream else None
        )

    async def open(self, connection: "Connection", exchange: Exchange, rest: bytes) -> None:
        """Open what `exchange` asks for; `rest` came behind its head."""
        host, _, port = exchange.head.path.rpartition(":")
        host = host.strip("[]").lower().rstrip(".")
        connection.close_after = True  # whatever becomes of it, no further request follows a CONNECT
        if not ipaddress.ip_address(exchange.peer).is_loopback:
            _refuse(exchange, 403, "only programs on this machine may use Clary as a proxy")
        elif connection.is_tls:
            _refuse(exchange, 501, "the proxy is reached without TLS: HTTPS_PROXY=http://…")
        elif not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            _refuse(exchange, 400, f"CONNECT needs host:port, not {exchange.head.path[:200]!r}")
        elif is_aws(host):
            connection.write(_ESTABLISHED)
            self._edge.speak_tls(connection.hand_over(), rest, host)
        else:
            await self._tunnel(connection, exchange, host, int(port), rest)

    async def _tunnel(
        self, connection: "Connection", exchange: Exchange, host: str, port: int, rest: bytes
    ) -> None:
        connection.pause(exchange)
        far = _Pipe()
        try:
            early = await asyncio.wait_for(self._reach(far, host, port), OPEN_S)
        except TimeoutError:
            _refuse(exchange, 504, f"{host}:{port} did not answer within {OPEN_S:g} s")
            return
        except (OSError, ValueError) as error:
            _refuse(exchange, 502, f"{host}:{port}: {error}")
            return
        if exchange.is_gone:
            far.transport.abort()
            return
        connection.write(_ESTABLISHED + early)
        transport = connection.hand_over()
        splice(transport, far.transport, rest)
        if far.is_over:
            transport.close()

    async def _reach(self, far: "_Pipe", host: str, port: int) -> bytes:
        """Connect `far` to a host, by way of the upstream proxy if there is one; return bytes read early."""
        loop = asyncio.get_running_loop()
        proxy = self._upstream
        if proxy is None or proxy.hostname is None:
            await loop.create_connection(lambda: far, host, port)
            far.transport.pause_reading()
            return b""
        context = ssl.create_default_context() if proxy.scheme == "https" else None
        asking = _Asking()
        default = 443 if proxy.scheme == "https" else 80
        await loop.create_connection(lambda: asking, proxy.hostname, proxy.port or default, ssl=context)
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
        if proxy.username is not None:
            pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
        asking.transport.write("\r\n".join((*lines, "", "")).encode())
        try:
            early = await asking.answer
        except BaseException:
            asking.transport.abort()
            raise
        far.connection_made(asking.transport)
        asking.transport.set_protocol(far)
        return early


def splice(near: asyncio.Transport, far: asyncio.Transport, rest: bytes) -> None:
    """Have bytes go both ways between two transports as they come, `rest` to the far one first."""
    ends = _Pipe(), _Pipe()
    for end, transport in zip(ends, (near, far), strict=True):
        end.connection_made(transport)
        transport.set_protocol(end)
    ends[0].other, ends[1].other = far, near
    ends[0].opposite, ends[1].opposite = ends[1], ends[0]
    if rest:
        far.write(rest)
    for transport in (near, far):
        if not transport.is_closing():
            transport.resume_reading()


def _refuse(exchange: Exchange, status: int, reason: str) -> None:
    exchange.answer(status, b"content-type: text/plain\r\n", f"{reason}\n".encode())


class _Pipe(asyncio.Protocol):
    """One end of a tunnel: what comes goes to the other end, and no faster than that takes it."""

    other: asyncio.Transport | None = None
    opposite: "_Pipe | None" = None
    is_over = False
    has_ended = False
    """Nothing more comes from this end; the other way may still be open."""
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.write(data)

    def eof_received(self) -> bool:
        self.has_ended = True
        if self.opposite is not None and self.opposite.has_ended:
            return False  # both ways are shut: nothing else would ever close the two
        if self.other is None or self.other.is_closing() or not self.other.can_write_eof():
            return False
        self.other.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True
        if self.other is not None:
            self.other.close()

    def pause_writing(self) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.resume_reading()


class _Asking(asyncio.Protocol):
    """Asks the upstream proxy for a tunnel."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        self._held += data
        head, end, early = self._held.partition(b"\r\n\r\n")
        if not end:
            if len(self._held) > _MAX_HEAD_BYTES:
                self.answer.set_exception(ValueError("the upstream proxy's answer is no HTTP"))
            return
        status = head.split(b"\r\n", 1)[0]
        if b" 200" in status[:13]:
            self.transport.pause_reading()
            self.answer.set_result(early)
        else:
            self.answer.set_exception(ValueError(f"the upstream proxy answered {status.decode('latin-1')!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(ConnectionError("the upstream proxy closed the connection"))
