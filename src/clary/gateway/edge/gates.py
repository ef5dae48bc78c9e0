"""Replicas on other machines, by the gates of their nodes (`compute/cluster/gate.py`).

connect ─▶ the gate's own certificate? ─▶ greeting ─▶ "ok" ─▶ the protocol that speaks with the replica
   └─ first one to a gate: a pulse beside it, with whose end all that lead there end
"""

import asyncio
import hmac
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import cast
from weakref import WeakKeyDictionary

from clary.compute.cluster.gated import CONTAINER, OPEN, SCHEME, SILENCE_S, Gated, watch

CONNECT_S = 1.0
"""A machine that does not answer by then is gone, or may as well be."""
COPY_S = 10.0
"""For a pause within a file."""
CHUNK_BYTES = 1 << 18
PULSE_S, FAINT_S = 0.25, 0.6
"""Between two beats; and without an answer after the kernel has said one again, which it does after 0.2 s."""
HTTP_END = f"/{CONTAINER}"
"""Of addresses whose replica speaks HTTP."""


def is_gated(address: str) -> bool:
    """Say whether an address leads through a gate."""
    return address.startswith(SCHEME)


async def connect(address: str, protocol: asyncio.Protocol) -> None:
    """Connect `protocol` to the replica at `address`.

    Raises
    ------
    OSError
        It cannot be reached.
    """
    gate = Gated.parse(address)
    greeting = await _greeted(gate)
    greeting.hand_over(protocol)
    _pulse_of(gate).followers.add(greeting.transport)


@contextmanager
def copied(address: str, *, most_bytes: int) -> Iterator[Path]:
    """Yield a file with what lies at `address`; blocks. Of more than `most_bytes`, one more than these.

    Raises
    ------
    OSError
        It is not there, or cannot be reached.
    """
    gate = Gated.parse(address)
    with (
        socket.create_connection((gate.host, gate.port), CONNECT_S) as plain,
        _context().wrap_socket(plain) as line,
        NamedTemporaryFile(prefix="clary-flat-") as file,
    ):
        line.settimeout(COPY_S)
        _check(line.getpeercert(True), gate)
        line.sendall(gate.greeting)
        with line.makefile("rb", CHUNK_BYTES) as heard:
            if heard.readline() != OPEN:
                raise FileNotFoundError(address)
            left = most_bytes + 1
            while left and (chunk := heard.read(min(CHUNK_BYTES, left))):
                left -= file.write(chunk)
        file.flush()
        yield Path(file.name)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # a gate is known by its digest
    return context


def _check(shown: bytes | None, gate: Gated) -> None:
    if not hmac.compare_digest(sha256(shown or b"").hexdigest(), gate.pin):
        raise ConnectionRefusedError("another than its node's gate answers")


async def _greeted(gate: Gated, silence_s: float = SILENCE_S) -> "_Greeting":
    try:
        async with asyncio.timeout(CONNECT_S):
            return await _exchanged(gate, silence_s)
    except TimeoutError:
        raise TimeoutError("its node does not answer") from None
    except ssl.SSLError as error:
        raise ConnectionError(f"its node's gate: {error.reason}") from error


async def _exchanged(gate: Gated, silence_s: float) -> "_Greeting":
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(gate.host, gate.port, type=socket.SOCK_STREAM)
    connection = socket.socket(*found[0][:3])
    try:
        connection.setblocking(False)
        watch(connection, silence_s)
        await loop.sock_connect(connection, found[0][4])
        greeting = _Greeting()
        await loop.create_connection(lambda: greeting, sock=connection, ssl=_context(), server_hostname="")
    except BaseException:
        connection.close()
        raise
    await greeting.exchange(gate)
    return greeting


class _Pulse(asyncio.Protocol):
    """A connection on which there always is something to acknowledge: when a node is cut off it breaks first.

    Others may be at rest, or wait for an answer; after those the kernel asks once a second at most.
    """

    def __init__(self) -> None:
        self.followers: set[asyncio.Transport] = set()
        """Connections that lead to the same gate."""
        self.task: asyncio.Task[None] | None = None
        self._is_lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        for each in self.followers:
            each.abort()

    async def beat(self, gate: Gated, known: "dict[str, _Pulse]") -> None:
        """Beat until nobody follows."""
        try:
            with suppress(OSError):  # not reached: the kernel watches each connection, too
                greeting = await _greeted(gate.pulse, FAINT_S)
                greeting.hand_over(self)
                while self.followers and not self._is_lost:
                    greeting.transport.write(b".")
                    await asyncio.sleep(PULSE_S)
                    self.followers = {each for each in self.followers if not each.is_closing()}
                greeting.transport.abort()
        finally:
            del known[gate.pin]


_PULSES: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Pulse]] = WeakKeyDictionary()
"""By the gates' certificates."""


def _pulse_of(gate: Gated) -> _Pulse:
    """Return the pulse of a gate, begun where there is none."""
    loop = asyncio.get_running_loop()
    known = _PULSES.setdefault(loop, {})
    if gate.pin not in known:
        pulse = known[gate.pin] = _Pulse()
        pulse.task = loop.create_task(pulse.beat(gate, known))
    return known[gate.pin]


class _Greeting(asyncio.Protocol):
    """Waits for the gate's answer, which nothing follows until the replica is asked."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._heard = b""
        self._heir: asyncio.Protocol | None = None
        self._is_lost = False
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    async def exchange(self, gate: Gated) -> None:
        try:
            _check(self.transport.get_extra_info("ssl_object").getpeercert(True), gate)
            self.transport.write(gate.greeting)
            if await self._answer != OPEN:
                raise ConnectionRefusedError("its node says that it has ended")
        except BaseException:
            self._answer.cancel()
            self.transport.abort()
            raise

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        if self._is_lost:
            raise ConnectionResetError("its node's gate closed the connection")
        self._heir = protocol
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if self._heard.endswith(b"\n") and not self._answer.done():
            self._answer.set_result(self._heard)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._heir is not None:  # it ended in the very moment
            self._heir.connection_lost(exc)
        elif not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("its node's gate closed the connection"))
