"""Frames: how the edge and a replica talk, many requests in flight on one unix socket.

    u32 total_length │ u32 request_id │ u16 header_length │ header, JSON │ body
    └ of the whole frame, these four bytes included; all integers little-endian

Members of a request's header, each absent when the client gave none: `content_type`, `accept`,
`attributes` (custom attributes), `target_model`, `target_container`, `inference_id`, `session_id`,
`explanations`; `stream` asks for the answer in parts as they come. `{"ping": true}` asks for a health check
instead. Headers of one client are all alike, so that both sides keep them parsed.
Members of an answer's header: `status` (as HTTP), `content_type`, `attributes`, and `headers`, a
mapping of further response headers; of a pipeline `container`, the one that refused, and `times`, the
microseconds that each container took; `more` says that this is a part and others follow, of which only the
last is without it. Answers come in any order; a request id is free again once its answer has arrived.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Longest frame either side takes: the largest invocation (25 MB) with room for larger answers."""

_PREFIX = Struct("<IIH")
_LENGTH = Struct("<I")
_encode = json.JSONEncoder(separators=(",", ":")).encode


class FrameError(ValueError):
    """The bytes are not frames; the connection that carried them cannot be used any further."""


class Frame(NamedTuple):
    """One request or one answer."""

    request_id: int
    header: dict[str, Any]
    body: bytes


def pack(request_id: int, header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Return one frame as bytes.

    Raises
    ------
    FrameError
        The header is longer than 65,535 bytes, or the frame longer than `MAX_FRAME_BYTES`.
    """
    packed = head(header)
    total = _PREFIX.size + len(packed) + len(body)
    if total > MAX_FRAME_BYTES:
        raise FrameError(f"a frame holds at most {MAX_FRAME_BYTES} bytes, not {total}")
    return b"".join(framed(request_id, packed, body))


def head(header: Mapping[str, Any]) -> bytes:
    """Return a header as it goes out.

    Raises
    ------
    FrameError
        It is longer than 65,535 bytes.
    """
    packed = _encode(header).encode()
    if len(packed) > 0xFFFF:
        raise FrameError(f"a frame's header holds at most 65535 bytes, not {len(packed)}")
    return packed


def framed(request_id: int, packed: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the pieces of a frame whose header is packed already; short enough, as the caller knows."""
    size = len(packed)
    return _PREFIX.pack(_PREFIX.size + size + len(body), request_id, size), packed, body


@lru_cache(maxsize=512)
def _members(packed: bytes) -> dict[str, Any]:
    """Parse a header; most answers of one model carry the very same one."""
    try:
        header = json.loads(packed)
    except ValueError as error:
        raise FrameError(f"a frame's header is not JSON: {packed[:80]!r}") from error
    if not isinstance(header, dict):
        raise FrameError(f"a frame's header must be an object, not {packed[:80]!r}")
    return header


class Decoder:
    """Cuts a byte stream into frames."""

    __slots__ = ("_held", "_wanted")

    def __init__(self) -> None:
        self._held = bytearray()
        self._wanted = _LENGTH.size

    def feed(self, chunk: bytes) -> list[Frame]:
        """Take what was received, return the frames it completes, in order.

        Raises
        ------
        FrameError
            The stream is not made of frames.
        """
        if not self._held:
            frames, used = _cut(chunk)
            rest = memoryview(chunk)[used:]
        else:
            self._held += chunk
            if len(self._held) < self._wanted:
                return []
            whole = bytes(self._held)
            self._held = bytearray()
            frames, used = _cut(whole)
            rest = memoryview(whole)[used:]
        if rest:
            self._held += rest
        if len(self._held) >= _LENGTH.size:
            self._wanted = _LENGTH.unpack_from(self._held)[0]
        else:
            self._wanted = _LENGTH.size
        return frames


def _cut(whole: bytes) -> tuple[list[Frame], int]:
    """Return the complete frames at the front of `whole`, and how many bytes they took."""
    frames = []
    at, end, prefix = 0, len(whole), _PREFIX.size
    while end - at >= _LENGTH.size:
        (total,) = _LENGTH.unpack_from(whole, at)
        if total < prefix or total > MAX_FRAME_BYTES:
            raise FrameError(f"a frame holds {prefix} to {MAX_FRAME_BYTES} bytes, not {total}")
        if end - at < total:
            break
        _, request_id, header_length = _PREFIX.unpack_from(whole, at)
        body = at + prefix + header_length
        if body > at + total:
            raise FrameError(f"a frame of {total} bytes cannot have a header of {header_length}")
        frames.append(Frame(request_id, _members(whole[at + prefix : body]), whole[body : at + total]))
        at += total
    return frames, at
