"""A line from a node to Clary: what says of itself that it is on this machine's loopback, by TLS.

agent, program ──http──▶ 127.0.0.1:<any> ──TLS, Clary's own authority──▶ Clary's port

So URLs, signatures and the credentials' endpoint hold on a node as they do beside Clary, no program needs
another authority, and what travels is encrypted.
"""

import asyncio
import contextlib
import ssl
import threading
from dataclasses import asdict, dataclass
from typing import Any

NAME = "clary.amazonaws.com"
"""Asked for in the handshake: for names of AWS the port shows a certificate of Clary's own authority,
whatever certificate it has for others."""
CHUNK_BYTES = 1 << 18
CONNECT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Far:
    """Where a line leads."""

    host: str
    port: int
    authority: str
    """PEM text of the certificate of Clary's authority."""
    near: str
    """Host and port in the URLs to be led here, such as `127.0.0.1:4747`."""
    registry: str = ""
    """Host and port that the names of Clary's images begin with, where they are others."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


class Line:
    """Listens on this machine's loopback and carries what comes to Clary."""

    def __init__(self, far: Far) -> None:
        self.far = far
        self._context = ssl.create_default_context(cadata=far.authority)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        """Of the loopback; known once it listens."""
        threading.Thread(target=self._run, name="line", daemon=True).start()
        self._ready.wait()

    def moved(self, text: str) -> str:
        """Return a text in which what named Clary's own port names this line."""
        return text.replace(f"//{self.far.near}", f"//127.0.0.1:{self.port}")

    def image(self, name: str) -> str:
        """Return an image's name, by which this machine pulls it through here where Clary has it."""
        registry, slash, rest = name.partition("/")
        is_clarys = bool(slash) and registry in {self.far.near, self.far.registry}
        return f"127.0.0.1:{self.port}/{rest}" if is_clarys else name

    def close(self) -> None:
        """Listen no more."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        server = self._loop.run_until_complete(
            asyncio.start_server(self._carry, "127.0.0.1", 0, limit=CHUNK_BYTES)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far = await asyncio.wait_for(
                asyncio.open_connection(
                    self.far.host,
                    self.far.port,
                    ssl=self._context,
                    server_hostname=NAME,
                    limit=CHUNK_BYTES,
                ),
                CONNECT_S,
            )
        except (OSError, TimeoutError):  # whoever called tries again
            writer.transport.abort()
            return
        back = asyncio.create_task(_pump(far[0], writer))
        try:
            await _pump(reader, far[1])  # TLS has no half-close: the end of what is asked ends all
            await asyncio.wait([back], timeout=CONNECT_S)
        finally:
            back.cancel()
            for each in (writer, far[1]):
                each.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while chunk := await source.read(CHUNK_BYTES):
            target.write(chunk)
            await target.drain()
    with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
        if target.can_write_eof():
            target.write_eof()
