r"""A node's gate: the way of edges on other machines to the replicas of this one.

edge ──TLS, the gate's own key──▶ gate ──unix socket, or a container's port──▶ replica
       "<secret> <run> <host> <name>\n" ▶ ◀ "ok\n"          then bytes as they come, both ways

So frames, batches, health and draining are what they are on one machine. `gated.py` has the addresses.
"""

import asyncio
import hmac
import os
import re
import secrets
import socket
import ssl
import tempfile
import threading
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from clary.compute.cluster.gated import CONTAINER, OPEN, PREFIX, PULSE, REACHED, SCHEME, watch
from clary.compute.invocations import is_owner_alive
from clary.kernel import clock

GREETING_S = 10.0
LONGEST_GREETING = 1024
EDGE_S = 300.0
"""An edge that takes nothing for so long is gone; its client may be slow to read."""
BUFFER_BYTES = 1 << 20
TAKEN_BYTES = 1 << 26
"""Of a request that a replica is slow to read: an edge takes a gate that takes nothing for a dead one."""
MOST_BYTES = 1 << 28
"""Of a file with a model as plain arrays, which an edge takes to answer in place."""
_NAME = re.compile(rf"[a-z]{{1,16}}\d{{0,9}}\.(sock|flat)|{CONTAINER}|{PULSE}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class Gate:
    """Listens on the node's own address.

    Parameters
    ----------
    runs : Path
        Folder of the node's runs.
    """

    def __init__(self, runs: Path, address: str) -> None:
        self._runs = runs
        self._key = secrets.token_bytes(32)
        self._loop = asyncio.new_event_loop()
        self._context, pin = _identity()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listening = socket.create_server((address, 0), family=family)
        port = self._listening.getsockname()[1]
        self._prefix = f"{SCHEME}{address}:{port}/{pin}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        opened = self._loop.create_server(lambda: _Caller(self), sock=self._listening, ssl=self._context)
        server = self._loop.run_until_complete(opened)
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(_cancelled())
        self._loop.close()

    def lead_to(self, home: Path) -> None:
        """Have the agent of a host tell addresses that lead here."""
        run, host = home.parent.parent.name, home.name
        (home / PREFIX).write_text(f"{self._prefix}.{self._secret(run, host)}/{run}/{host}")

    def _secret(self, run: str, host: str) -> str:
        """Return what opens the way to one host, and to no other."""
        return hmac.new(self._key, f"{run}/{host}".encode(), sha256).hexdigest()[:32]

    def found(self, greeting: bytes) -> tuple[str, str]:
        """Return where a replica answers on this machine, and the name that is asked for beside that.

        Raises
        ------
        OSError
            There is none, or nobody may ask for it.
        """
        secret, run, host, name = greeting.decode().split(" ")
        if not hmac.compare_digest(secret, self._secret(run, host)):
            raise PermissionError("this is not the host's secret")
        if not (_WORD.fullmatch(run) and _WORD.fullmatch(host) and _NAME.fullmatch(name)):
            raise FileNotFoundError(name)
        return (self._runs / run / "hosts" / host / REACHED).read_text(), name

    def close(self) -> None:
        """Listen no more, and drop who is connected."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


async def _cancelled() -> None:
    """End all other tasks."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _End(asyncio.Protocol):
    """One of two connections that are one.

    Parameters
    ----------
    most_bytes : int
        That wait to be written here until the other one is not read any more.
    """

    def __init__(self, most_bytes: int) -> None:
        self.other: _End | None = None
        self.transport: asyncio.Transport
        self._most_bytes = most_bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self._most_bytes)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()  # after what is still to be written


class _Caller(_End):
    """An edge's connection: one line first, then whatever the replica's is."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(BUFFER_BYTES)
        self._gate = gate
        self._greeting = b""
        self._task: asyncio.Task[None] | None = None
        self._is_pulse = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        watch(transport.get_extra_info("socket"), EDGE_S)
        self._late = asyncio.get_running_loop().call_later(GREETING_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)
        if self.other is not None or self._is_pulse:
            return
        self._greeting += data
        line, end, rest = self._greeting.partition(b"\n")
        if rest or len(line) > LONGEST_GREETING or self._task is not None:
            self.transport.abort()  # it speaks before it is answered
        elif end:
            self._task = asyncio.get_running_loop().create_task(self._open(line))

    async def _open(self, line: bytes) -> None:
        try:
            reached, name = self._gate.found(line)
            if name == PULSE:
                self._is_pulse = True
                self.transport.write(OPEN)
            elif name.endswith(".flat"):
                text = await asyncio.to_thread(_read, Path(reached).with_name(name))
                self.transport.write(OPEN + text)
                self.transport.close()
            else:
                await self._join(_End(TAKEN_BYTES), reached, name)
        except (OSError, ValueError):
            self.transport.write(b"no\n")
            self.transport.close()
        finally:
            self._late.cancel()

    async def _join(self, end: _End, reached: str, name: str) -> None:
        loop, end.other = asyncio.get_running_loop(), self
        if name == CONTAINER:
            parts = urlsplit(reached)
            await loop.create_connection(lambda: end, parts.hostname or "", parts.port or 80)
            if not is_owner_alive(reached):  # after connecting: its address may be another container's by now
                end.transport.abort()
                raise ConnectionRefusedError("it has ended")
        else:
            await loop.create_unix_connection(lambda: end, str(Path(reached).with_name(name)))
        self.other = end
        if self.transport.is_closing():
            end.transport.close()
        else:
            self.transport.write(OPEN)

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        super().connection_lost(exc)


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return file.read(MOST_BYTES)


def _identity() -> tuple[ssl.SSLContext, str]:
    """Return a context with a certificate that was made just now, and its digest."""
    from cryptography import x509  # noqa: PLC0415 - edges, which read addresses, need none of this
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "clary-gate")])
    now = clock.now()
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.NamedTemporaryFile(prefix="clary-gate-") as file:
        file.write(text)
        file.flush()
        context.load_cert_chain(file.name)
    return context, sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()
