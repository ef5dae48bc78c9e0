"""From one process of a pipeline to the next: frames on pooled connections, many at a time."""

import select
import socket
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from clary.algorithms.base import Answer, Question
from clary.serving.frames import Decoder, Frame, FrameError, framed, head
from clary.serving.handlers.base import GoneError
from clary.serving.replica import ATTRIBUTES, CHUNK_BYTES

FITS_BYTES = 64 * 1024
"""That any socket's buffer takes, so that sending them waits for nobody."""
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
        found: dict[int, Answered] = {}
        try:
            whole = [place for place, question in enumerate(questions) if not question.takes_parts]
            if whole:
                frames = self._asked([_packed(n, questions[place]) for n, place in enumerate(whole)])
                for n, place in enumerate(whole):
                    found[place] = (frames[n].header, _answer(frames[n]))
            for place, question in enumerate(questions):
                if question.takes_parts:
                    found[place] = self._streamed(question)
        except (OSError, FrameError) as error:
            raise GoneError(f"the next container went away: {error}") from error
        return [found[place] for place in range(len(questions))]

    def _asked(self, questions: Sequence[tuple[bytes, bytes, bytes]]) -> dict[int, Frame]:
        line = self._lent()
        try:
            frames = _exchanged(line, questions)
        except BaseException:
            line.close()  # what was not read yet would be taken for the next answers
            raise
        self._idle.append(line)
        return frames

    def _streamed(self, question: Question) -> Answered:
        """Ask for an answer in parts; its connection is its own, and ends with it."""
        line = self._lent()
        frames = _frames(line, _packed(0, question))
        try:
            first = next(frames)
        except BaseException:
            line.close()
            raise
        if first.header.get("more"):
            return first.header, _answer(first, _parts(frames, line))
        self._idle.append(line)
        return first.header, _answer(first)

    def _lent(self) -> socket.socket:
        """Return a connection that nobody uses."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(self._address)
        except OSError:
            line.close()
            raise
        return line


def _packed(number: int, question: Question) -> tuple[bytes, bytes, bytes]:
    known = (question.content_type, question.accept, question.attributes, question.takes_parts)
    return framed(number, _head(*known), question.body)


@lru_cache(maxsize=512)
def _head(content_type: str, accept: str, attributes: str, takes_parts: bool) -> bytes:
    members = {"content_type": content_type, "accept": accept, "attributes": attributes}
    header: dict[str, Any] = {name: value for name, value in members.items() if value}
    return head({**header, "stream": True} if takes_parts else header)


def _exchanged(line: socket.socket, questions: Sequence[tuple[bytes, bytes, bytes]]) -> dict[int, Frame]:
    """Send all, while taking what is answered already: neither side may wait for the other's full buffer."""
    whole = b"".join([piece for question in questions for piece in question])
    decoder, found = Decoder(), dict[int, Frame]()
    if len(whole) <= FITS_BYTES:
        line.sendall(whole)
        whole = b""
    waiting = memoryview(whole)
    while waiting:
        ready, room, _ = select.select([line], [line], [])
        if ready:
            found |= {frame.request_id: frame for frame in decoder.feed(_received(line))}
        if room:
            waiting = waiting[line.send(waiting, socket.MSG_DONTWAIT) :]
    while len(found) < len(questions):
        for frame in decoder.feed(_received(line)):
            found[frame.request_id] = frame
    return found


def _frames(line: socket.socket, question: tuple[bytes, bytes, bytes]) -> Iterator[Frame]:
    line.sendall(b"".join(question))
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


def _parts(frames: Iterator[Frame], line: socket.socket) -> Iterator[bytes]:
    with line:
        for frame in frames:
            if frame.header.get("error"):
                raise RuntimeError(frame.body.decode(errors="replace"))
            yield frame.body
            if not frame.header.get("more"):
                return
