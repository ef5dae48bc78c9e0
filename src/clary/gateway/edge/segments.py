"""Segments of blobs in the object store: put from what came, and read piece after piece."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote, urlsplit

from clary.gateway.edge.callers import UNSIGNED_PAYLOAD
from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.head import Lines
from clary.gateway.edge.objects import PART_TYPE
from clary.gateway.edge.relay import Away, connect
from clary.gateway.edge.storepool import StorePool
from clary.gateway.edge.upstream import Listener, Upstream
from clary.kernel import clock
from clary.wire.signing import sign

Piece = tuple[str, int, int]
"""Key of an object, first byte, last byte."""
SILENCE_S = 60.0
"""Without a byte from the store, nor one taken by it."""
_PAUSE_S = 0.2


class Segments:
    """The object store, as the registry uses it."""

    def __init__(self, control: ControlPlane, patience_s: float, loop_time: Callable[[], float]) -> None:
        self._control = control
        self._patience_s = patience_s
        self._loop_time = loop_time
        self._pool = StorePool(loop_time)
        self.sweep, self.close = self._pool.sweep, self._pool.close

    async def put(self, bucket: str, key: str, chunks: Sequence[bytes]) -> None:
        """Write an object; again, where the store dies under it.

        Raises
        ------
        Away
            The store does not take it.
        """
        frame = b"content-length: %d\r\n\r\n" % sum(map(len, chunks))
        deadline = self._loop_time() + self._patience_s
        while True:
            answer = _Answer()
            try:
                upstream = await self._ask(answer, "PUT", bucket, key, {"content-type": PART_TYPE}, frame)
                upstream.writelines(tuple(chunks))
                status = await self._end_of(answer, upstream)
            except (OSError, TimeoutError) as error:
                self._doubt()
                reason = str(error)
            else:
                if status == 200:
                    return
                reason = f"the object store answered {status} to PUT {key}"
            if self._loop_time() > deadline:
                raise Away(reason)
            await asyncio.sleep(_PAUSE_S)

    async def _end_of(self, answer: "_Answer", upstream: Upstream) -> int:
        try:
            status = await asyncio.wait_for(answer.over, SILENCE_S)
        except BaseException:
            upstream.abort()
            raise
        self._pool.give(upstream)
        return status

    async def read(
        self, bucket: str, pieces: Sequence[Piece], take: Callable[[bytes], None], flow: "Flow"
    ) -> None:
        """Give `take` the bytes of pieces one after the other; the next is asked for ahead.

        Raises
        ------
        Away
            The store does not give them.
        """
        ahead: list[_Reading] = []
        try:
            for number, piece in enumerate(pieces):
                ahead = ahead or [await self._begin(bucket, piece, take)]
                ahead += [await self._begin(bucket, each, take) for each in pieces[number + 1 : number + 2]]
                await self._read(bucket, piece, ahead, take, flow)
        finally:
            flow.upstream = None
            for reading in ahead:
                reading.drop()

    async def _begin(
        self, bucket: str, piece: Piece, take: Callable[[bytes], None], done: int = 0
    ) -> "_Reading":
        """Ask for a piece from `done` bytes in; it is not read before its turn."""
        key, first, last = piece
        reading = _Reading(take)
        header = {"range": f"bytes={first + done}-{last}"}
        try:
            reading.upstream = await self._ask(reading, "GET", bucket, key, header, b"\r\n")
            reading.upstream.hold()
        except (OSError, TimeoutError) as error:
            reading.lost(ConnectionError(str(error)))
        return reading

    async def _read(
        self,
        bucket: str,
        piece: Piece,
        ahead: list["_Reading"],
        take: Callable[[bytes], None],
        flow: "Flow",
    ) -> None:
        """Read the piece that is first of `ahead` to its end, over as many connections as it takes."""
        key, first, last = piece
        done, deadline = 0, self._loop_time() + self._patience_s
        while True:
            reading = ahead[0]
            await self._settled(reading, flow)
            done += reading.n
            if first + done > last and reading.upstream is not None:
                self._pool.give(reading.upstream)
                ahead.pop(0)
                return
            reading.drop()
            now = self._loop_time()
            deadline = now + self._patience_s if reading.n else deadline
            if now > deadline:
                raise Away(f"{key} breaks off at byte {first + done}")
            self._doubt()
            await asyncio.sleep(_PAUSE_S)
            ahead[0] = await self._begin(bucket, piece, take, done)

    async def _settled(self, reading: "_Reading", flow: "Flow") -> None:
        """Wait until a reading ends, well or not; a store that stays silent is none."""
        silent_s, upstream = SILENCE_S, reading.upstream
        flow.upstream = upstream
        flow.go_on()
        while upstream is not None and not reading.over.done():
            await asyncio.wait((reading.over,), timeout=silent_s)
            if upstream.clock() - upstream.seen > silent_s and not flow.is_full:
                reading.lost(ConnectionError("the object store is silent"))
        flow.upstream = None

    # Connections.

    async def _ask(
        self, listener: Listener, method: str, bucket: str, key: str, headers: Mapping[str, str], rest: bytes
    ) -> Upstream:
        store = await self._control.object_store()
        endpoint = urlsplit(store.endpoint)
        path = quote(f"{endpoint.path.rstrip('/')}/{bucket}/{key}", safe="/-_.~")
        own = sign(
            method=method,
            host=endpoint.netloc,
            path=path,
            query="",
            headers=headers,
            payload_hash=UNSIGNED_PAYLOAD,
            access_key_id=store.access_key,
            secret=store.secret_key,
            region=store.region,
            now=clock.now(),
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **own}.items())
        upstream = await connect(self._pool.of(store), self._patience_s)
        upstream.ask(listener, method, f"{method} {path} HTTP/1.1\r\n{lines}".encode() + rest)
        return upstream

    def _doubt(self) -> None:
        """Ask anew where the store is: it may have come back elsewhere."""
        self._control.stores.doubt("")


class Flow:
    """Lets the store wait for whoever takes the bytes."""

    def __init__(self) -> None:
        self.upstream: Upstream | None = None
        self.is_full = False

    def hold(self) -> None:
        """Stop."""
        self.is_full = True
        self.go_on()

    def release(self) -> None:
        """Go on."""
        self.is_full = False
        self.go_on()

    def go_on(self) -> None:
        """Have the connection whose turn it is read on, or not."""
        if self.upstream is None or self.upstream.is_lost:
            return
        if self.is_full:
            self.upstream.hold()
        else:
            self.upstream.release()


class _Answer:
    """Listener that keeps the status."""

    def __init__(self) -> None:
        self.over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._status = 0

    def answer_head(self, status: int, _lines: Lines, _length: int | None) -> None:
        self._status = status

    def answer_body(self, chunk: bytes) -> None:
        pass

    def answer_end(self) -> None:
        if not self.over.done():
            self.over.set_result(self._status)

    def lost(self, error: ConnectionError) -> None:
        if not self.over.done():
            self.over.set_exception(error)

    def upstream_full(self) -> None:
        pass

    def upstream_ready(self) -> None:
        pass


class _Reading:
    """Listener that passes a piece on; `over` comes at its end, and where it breaks off."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.upstream: Upstream | None = None
        self.n = 0
        self._take = take
        self._is_good = False

    def answer_head(self, status: int, _lines: Lines, _length: int | None) -> None:
        self._is_good = status in {200, 206}

    def answer_body(self, chunk: bytes) -> None:
        if self._is_good:
            self.n += len(chunk)
            self._take(chunk)

    def answer_end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def lost(self, _error: ConnectionError) -> None:
        self.answer_end()

    def drop(self) -> None:
        """Read no more."""
        if self.upstream is not None:
            self.upstream.abort()

    def upstream_full(self) -> None:
        pass

    def upstream_ready(self) -> None:
        pass
