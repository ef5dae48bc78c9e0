"""Asking any model: a replica in its sandbox, or several in a row, over frames; one payload a connection."""

import contextlib
import itertools
import json
import queue
import socket
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from struct import Struct
from typing import Any

from clary.compute import invocations
from clary.compute.agent.batch.base import ModelGoneError, PayloadError
from clary.compute.agent.batch.plan import Plan
from clary.toolkit.transform.records import Processing, assembled

MAX_FRAME_BYTES = 64 << 20
"""As in `clary.serving.frames`."""
_PREFIX = Struct("<IIH")
_PAUSE_S = 0.2
"""Before the second try; longer each time."""


class NoAnswerError(Exception):
    """The replica hung up, or was silent for too long."""


class Caller:
    """One connection to a replica, one question at a time.

    The frames are those of `clary.serving.frames`, on a higher floor.
    """

    def __init__(self, address: str, timeout_s: float, name: str = "") -> None:
        self.name = name
        self._address = address
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def ask(self, header: dict[str, str], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Ask, and return the answer's header and body.

        Raises
        ------
        NoAnswerError
            None came.
        PayloadError
            The question does not fit a frame.
        """
        packed = json.dumps(header, separators=(",", ":")).encode()
        total = _PREFIX.size + len(packed) + len(body)
        if total > MAX_FRAME_BYTES:
            raise PayloadError(413, f"a payload of {len(body)} bytes is more than {MAX_FRAME_BYTES}")
        try:
            connection = self._connected()
            connection.sendall(_PREFIX.pack(total, 1, len(packed)) + packed)
            connection.sendall(body)
            total, _, length = _PREFIX.unpack(self._exactly(connection, _PREFIX.size))
            rest = self._exactly(connection, total - _PREFIX.size)
        except (OSError, EOFError) as error:
            self.close()
            raise NoAnswerError(str(error) or type(error).__name__) from error
        return json.loads(rest[:length]), rest[length:]

    def interrupt(self) -> None:
        """End what is being asked, from any thread."""
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(self._timeout_s)
            self._socket.connect(self._address)
        return self._socket

    @staticmethod
    def _exactly(connection: socket.socket, length: int) -> bytes:
        found = bytearray(length)
        view, at = memoryview(found), 0
        while at < length:
            n = connection.recv_into(view[at:])
            if not n:
                raise EOFError("the model hung up")
            at += n
        return bytes(found)


class ContainerCaller(Caller):
    """One connection to a container, one question at a time."""

    def __init__(self, address: str, timeout_s: float, name: str = "") -> None:
        super().__init__(address, timeout_s, name)
        self._line = invocations.Line(address, timeout_s)

    def ask(self, header: dict[str, str], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Ask, and return the answer's header and body.

        Raises
        ------
        NoAnswerError
            None came.
        """
        given = {"Content-Type": header.get("content_type", ""), "Accept": header.get("accept", "")}
        headers = {name: value for name, value in given.items() if value}
        try:
            status, told, answer = self._line.ask("POST", invocations.INVOKE, body, headers)
        except OSError as error:
            self._line.close()
            raise NoAnswerError(str(error) or type(error).__name__) from error
        return {"status": status, "content_type": told.get("content-type", "")}, answer

    def interrupt(self) -> None:
        """End what is being asked."""
        self._line.interrupt()

    def close(self) -> None:
        """Hang up."""
        self._line.close()


class ReplicaModel:
    """Replicas that are well, one for each container of the model, asked one after the other.

    Parameters
    ----------
    addresses : sequence of str
        Of the replicas' sockets, in the order of the containers.
    names : sequence of str
        Of the containers, where there are several: a refusal says whose it is.
    """

    takes_stretches = False

    def __init__(
        self, addresses: Sequence[str], plan: Plan, processing: Processing, names: Sequence[str] = ()
    ) -> None:
        self._plan = plan
        self._processing = processing
        self._lines: queue.SimpleQueue[list[Caller]] = queue.SimpleQueue()
        self._callers: list[Caller] = []
        for _ in range(plan.concurrency):
            line = [
                (ContainerCaller if address.startswith("http://") else Caller)(address, plan.timeout_s, name)
                for address, name in itertools.zip_longest(addresses, names, fillvalue="")
            ]
            self._callers += line
            self._lines.put(line)
        self._pool = ThreadPoolExecutor(plan.concurrency, "payload")
        self._is_closed = False

    def ask(self, payload: bytes) -> "Future[bytes]":
        """Hand the payload to a free line; waits for one."""
        line = self._lines.get()
        if self._is_closed:
            self._lines.put(line)
            raise ModelGoneError
        try:
            return self._pool.submit(self._one, line, payload)
        except RuntimeError as error:  # closed in between
            raise ModelGoneError from error

    def close(self) -> None:
        """Hang up; whoever waits for a line learns that there is none."""
        self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for caller in self._callers:
            caller.interrupt()
        for _ in range(self._plan.concurrency):
            self._lines.put([])

    def _one(self, line: list[Caller], payload: bytes) -> bytes:
        try:
            body = self._processing.ask(payload)
            content_type = self._plan.content_type
            for place, caller in enumerate(line):
                is_last = place == len(line) - 1
                header = {"request_id": "transform"}
                if content_type:
                    header["content_type"] = content_type
                if is_last and self._plan.accept:
                    header["accept"] = self._plan.accept
                told, body = self._tried(caller, header, body)
                content_type = told.get("content_type") or content_type
            return assembled(self._processing.answer(payload, body), self._plan.assemble_with)
        finally:
            self._lines.put(line)

    def _tried(self, caller: Caller, header: dict[str, str], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Ask, and ask again where the model failed; a refusal stands.

        Raises
        ------
        PayloadError
            It did not go well, however often it was tried.
        """
        failure = PayloadError(0, "")
        for attempt in range(self._plan.retries + 1):
            if attempt:
                time.sleep(_PAUSE_S * attempt)
            if self._is_closed:
                break
            try:
                told, answer = caller.ask(header, body)
            except NoAnswerError as error:
                failure = PayloadError(0, str(error))
                continue
            status = int(told.get("status", 200))
            if status < 400:
                return told, answer
            where = f"{caller.name}: " if caller.name else ""
            failure = PayloadError(status, where + answer.decode("utf-8", "replace"))
            if status < 500:
                break
        raise failure
