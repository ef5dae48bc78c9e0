"""From one process of a pipeline to the next: frames on pooled connections, many at a time."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from clary.algorithms.base import Answer, Question
from clary.serving.frames import Decoder, Frame, FrameError, pack
from clary.serving.handlers.base import GoneError
from clary.serving.replica import ATTRIBUTES, CHUNK_BYTES

Answered = tuple[dict[str, Any], Answer]
"""The frame's header and the answer."""


class Link:
    """Asks the next process; may be asked from several threads."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()

    def ask(self, questions: Sequence[Question]) -> list[Answered]:
        """Return the answer to every question, in order.

        Raises
        ------
        GoneError
            The process does not listen, or went away meanwhile.
        """
        whole = [place for place, question in enumerate(questions) if not question.takes_parts]
        found: dict[int, Answered] = {}
        if whole:
            with self._connection() as line:
                frames = _exchanged(line, [_packed(n, questions[place]) for n, place in enumerate(whole)])
            for n, place in enumerate(whole):
                found[place] = (frames[n].header, _answer(frames[n]))
        for place, question in enumerate(questions):
            if question.takes_parts:
                found[place] = self._streamed(question)
        return [found[place] for place in range(len(questions))]

    def _streamed(self, question: Question) -> Answered:
        """Ask for an answer in parts; its connection is busy until the last of them."""
        with contextlib.ExitStack() as stack:
            line = stack.enter_context(self._connection())
            frames = _frames(line, _packed(0, question))
            first = next(frames)
            if not first.header.get("more"):
                return first.header, _answer(first)
            return first.header, _answer(first, _parts(frames, stack.pop_all()))

    @contextlib.contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        """Lend a connection; one on which something went wrong is not used again."""
        with self._lock:
            line = self._idle.pop() if self._idle else None
        try:
            if line is None:
                line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                line.connect(self._address)
            yield line
        except BaseException as error:
            if line is not None:
                line.close()
            if isinstance(error, OSError | FrameError):
                raise GoneError(f"the next container went away: {error}") from error
            raise
        with self._lock:
            self._idle.append(line)


def _packed(number: int, question: Question) -> bytes:
    members = {
        "content_type": question.content_type,
        "accept": question.accept,
        "attributes": question.attributes,
    }
    header: dict[str, Any] = {name: value for name, value in members.items() if value}
    if question.takes_parts:
        header["stream"] = True
    return pack(number, header, question.body)


def _exchanged(line: socket.socket, questions: Sequence[bytes]) -> dict[int, Frame]:
    """Send all, while taking what is answered already: neither side may wait for the other's full buffer."""
    waiting = memoryview(b"".join(questions))
    decoder, found = Decoder(), dict[int, Frame]()
    while waiting:
        ready, room, _ = select.select([line], [line], [])
        if ready:
            found |= {frame.request_id: frame for frame in decoder.feed(_received(line))}
        if room:
            waiting = waiting[line.send(waiting, socket.MSG_DONTWAIT) :]
    while len(found) < len(questions):
        found |= {frame.request_id: frame for frame in decoder.feed(_received(line))}
    return found


def _frames(line: socket.socket, question: bytes) -> Iterator[Frame]:
    line.sendall(question)
    decoder = Decoder()
    while True:
        yield from decoder.feed(_received(line))


def _received(line: socket.socket) -> bytes:
    chunk = line.recv(CHUNK_BYTES)
    if not chunk:
        raise ConnectionResetError("it hung up")
    return chunk


def _answer(frame: Frame, parts: Iterator[bytes] | None = None) -> Answer:
    header = frame.header
    headers = dict(header.get("headers") or {})
    if "attributes" in header:
        headers[ATTRIBUTES] = header["attributes"]
    return Answer(frame.body, header.get("content_type", ""), header.get("status", 200), headers, parts)


def _parts(frames: Iterator[Frame], lent: contextlib.ExitStack) -> Iterator[bytes]:
    with lent:
        for frame in frames:
            if frame.header.get("error"):
                raise RuntimeError(frame.body.decode(errors="replace"))
            yield frame.body
            if not frame.header.get("more"):
                return
