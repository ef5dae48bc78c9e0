"""The registry's bytes: from clients into the object store, and out of it to them.

    PATCH ──segments of 8 MiB──▶ object store ──names──▶ control plane     (each is durable, then told)
    PUT  ─── … ──▶ digest of all that came ────────────▶ control plane: now it is a blob
    GET  ◀── object store, piece after piece           ◀── control plane: these are its pieces

All else of `/v2/` is the control plane's.
"""

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.head import Head
from clary.gateway.edge.inflow import Inflow
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.relay import RETRY_AFTER, Away
from clary.gateway.edge.segments import Flow, Segments

PATIENCE_S = 60.0
"""That a push or a pull under way waits for the control plane or the store to come back."""
WIDTH = 3
"""Segments of one upload on their way to the store."""
MOST_SEGMENTS = 16
"""Of all uploads of this process: what they hold in memory."""
MOST_HASHES = 1000
_BLOB = re.compile(r"/v2/.+/blobs/[^/]+:[^/]+")
_UPLOAD = re.compile(r"/v2/.+/blobs/uploads(?:/[^/]*)?")
_ASKED = ("authorization", "content-range", "host", "range")
_AWAY = b'{"errors":[{"code":"UNAVAILABLE","message":"the registry does not answer; it may be restarting"}]}'


class _Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The control plane takes no more; carries its answer."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(answer["status"])
        self.answer = answer


@dataclass
class _Hashed:
    """Digest of the first `size` bytes of an upload."""

    size: int
    algorithm: str
    state: Any

    def update(self, chunks: Sequence[bytes]) -> None:
        """Hash more; in a thread, as it takes milliseconds."""
        for chunk in chunks:
            self.state.update(chunk)

    @property
    def digest(self) -> str:
        """As the protocol spells it."""
        return f"{self.algorithm}:{self.state.hexdigest()}"


class Registry:
    """Answers below `/v2/`."""

    def __init__(self, control: ControlPlane, limits: Limits, clock: Callable[[], float]) -> None:
        self._control = control
        self._segments = Segments(control, PATIENCE_S, clock)
        self._room = asyncio.Semaphore(MOST_SEGMENTS)
        self._hashes: OrderedDict[str, _Hashed] = OrderedDict()
        self.sweep, self.close = self._segments.sweep, self._segments.close

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        head = exchange.head
        try:
            if head.method == "GET" and _BLOB.fullmatch(head.path):
                await self._read(exchange)
            elif head.method in {"POST", "PATCH", "PUT"} and _UPLOAD.fullmatch(head.path):
                await self._write(exchange)
            else:
                await self._control.answer(exchange)
        except _Refused as refused:
            _say(exchange, refused.answer)
        except (Away, TimeoutError):
            if exchange.has_started:
                exchange.break_off()
            else:
                exchange.answer(503, b"content-type: application/json\r\n" + RETRY_AFTER, _AWAY)

    async def _ask(self, verb: str, question: Mapping[str, Any]) -> dict[str, Any]:
        return await self._control.ask(f"/internal/registry/{verb}", question, PATIENCE_S)

    # Out.

    async def _read(self, exchange: Exchange) -> None:
        found = await self._ask("read", _question(exchange.head))
        if "answer" in found:
            _say(exchange, found["answer"])
            return
        plan, flow = found["plan"], Flow()
        reading = asyncio.ensure_future(
            self._segments.read(plan["bucket"], plan["pieces"], exchange.write, flow)
        )
        exchange.stream(_Outlet(flow, reading))
        exchange.begin(plan["status"], _lines(plan["headers"]), plan["length"])
        try:
            await reading
        except asyncio.CancelledError:
            if not exchange.is_gone:
                reading.cancel()
                raise
            return
        exchange.end()

    # In.

    async def _write(self, exchange: Exchange) -> None:
        found = await self._ask("write", _question(exchange.head))
        if "answer" in found:
            _say(exchange, found["answer"])
            return
        plan = found["plan"]
        inflow = Inflow(exchange)
        exchange.stream(inflow)
        taking = _Taking(self._segments, self._ask, self._room, plan, self._hashes.pop(plan["upload"], None))
        answer = await taking.take(inflow)
        if inflow.is_cut or not plan["digest"]:
            self._remember(plan["upload"], taking.hashed)
        else:
            answer = await taking.finish()
        if answer is not None:
            _say(exchange, answer)

    def _remember(self, upload: str, hashed: _Hashed | None) -> None:
        if hashed is not None:
            self._hashes[upload] = hashed
            if len(self._hashes) > MOST_HASHES:
                self._hashes.popitem(last=False)


class _Taking:
    """One body on its way into an upload."""

    def __init__(
        self,
        segments: Segments,
        ask: Any,
        room: asyncio.Semaphore,
        plan: Mapping[str, Any],
        hashed: _Hashed | None,
    ) -> None:
        self._segments, self._ask, self._room = segments, ask, room
        self._plan = {name: value for name, value in plan.items() if name != "segments"}
        self._stored: list[tuple[str, int]] = [(name, size) for name, size in plan["segments"]]
        self._size = sum(size for _, size in self._stored)
        self._under_way: asyncio.Queue[tuple[str, int, asyncio.Task[None]] | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(WIDTH)
        algorithm = plan["digest"].partition(":")[0] or "sha256"
        if hashed is None and not self._size:
            hashed = _Hashed(0, algorithm, hashlib.new(algorithm))
        is_whole = hashed is not None and hashed.size == self._size and hashed.algorithm == algorithm
        self.hashed = hashed if is_whole else None
        """None where other hands put a part of it: then it is read again."""

    async def take(self, inflow: Inflow) -> Mapping[str, Any] | None:
        """Store a body to its end; return the answer to the last segment, if there was any to store.

        Raises
        ------
        _Refused
            Another writer was here.
        Away
            It cannot be stored, or not told.
        """
        loop = asyncio.get_running_loop()
        telling, hashing = loop.create_task(self._tell_all()), loop.create_future()
        hashing.set_result(None)
        try:
            at = self._size
            while (chunks := await inflow.segment()) and not telling.done():
                await self._slots.acquire()
                await self._room.acquire()
                size = sum(map(len, chunks))
                name = f"{at:012d}-{uuid4().hex[:12]}"
                at += size
                self._under_way.put_nowait((name, size, self._put(name, chunks)))
                if self.hashed is not None:
                    await hashing
                    hashing = loop.run_in_executor(None, self.hashed.update, chunks)
                    self.hashed.size += size
            self._under_way.put_nowait(None)
            await hashing
            return await telling
        finally:
            telling.cancel()
            while not self._under_way.empty():
                left = self._under_way.get_nowait()
                if left is not None:
                    left[2].cancel()

    def _put(self, name: str, chunks: Sequence[bytes]) -> asyncio.Task[None]:
        where = (self._plan["bucket"], self._plan["prefix"] + name)
        storing = asyncio.get_running_loop().create_task(self._segments.put(*where, chunks))
        storing.add_done_callback(lambda _: self._room.release())
        return storing

    async def _tell_all(self) -> Mapping[str, Any] | None:
        """Tell of each segment once it and all before it are stored; return the last answer."""
        answer: Mapping[str, Any] | None = None
        try:
            while (segment := await self._under_way.get()) is not None:
                name, size, storing = segment
                await storing
                answer = await self._tell((name, size))
                self._slots.release()
            return await self._tell() if answer is None and not self._plan["digest"] else answer
        finally:
            for _ in range(WIDTH):
                self._slots.release()  # whoever waits for one sees that this is over

    async def _tell(self, *told: tuple[str, int]) -> Mapping[str, Any]:
        question = {"plan": self._plan, "at": self._size, "segments": told}
        answer: Mapping[str, Any] = (await self._ask("stored", question))["answer"]
        if answer["status"] != 202:
            raise _Refused(answer)
        self._stored += told
        self._size += sum(size for _, size in told)
        return answer

    async def finish(self) -> Mapping[str, Any]:
        """Have the upload be a blob; return the answer."""
        hashed = self.hashed or await self._hash_again()
        question = {"plan": self._plan, "size": self._size, "computed": hashed.digest}
        answer: Mapping[str, Any] = (await self._ask("finish", question))["answer"]
        return answer

    async def _hash_again(self) -> _Hashed:
        """Return the digest of what is stored, read once more."""
        algorithm = self._plan["digest"].partition(":")[0]
        hashed, loop = _Hashed(0, algorithm, hashlib.new(algorithm)), asyncio.get_running_loop()
        for name, size in self._stored:
            chunks: list[bytes] = []
            piece = (self._plan["prefix"] + name, 0, size - 1)
            await self._segments.read(self._plan["bucket"], [piece], chunks.append, Flow())
            await loop.run_in_executor(None, hashed.update, chunks)
        return hashed


class _Outlet:
    """Sink of a download: its client sets the pace, and ends it by leaving."""

    def __init__(self, flow: Flow, reading: "asyncio.Future[None]") -> None:
        self._reading = reading
        self.client_full, self.client_ready = flow.hold, flow.release

    def feed(self, chunk: bytes) -> None:
        """Ignore a body that nobody asked for."""

    def feed_end(self) -> None:
        """Ignore its end."""

    def gone(self) -> None:
        """Hear that the client went away."""
        self._reading.cancel()


def _question(head: Head) -> dict[str, Any]:
    """Return what the control plane must know of a request."""
    headers = {name: head.fields[name] for name in _ASKED if name in head.fields}
    return {"method": head.method, "path": head.path, "query": head.query, "headers": headers}


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


def _say(exchange: Exchange, answer: Mapping[str, Any]) -> None:
    exchange.answer(answer["status"], _lines(answer["headers"]), answer["body"].encode())
