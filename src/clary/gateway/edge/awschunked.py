r"""Bodies signed chunk by chunk: checked, and turned into what the store takes unsigned.

    hex-length;chunk-signature=<signature>\r\n  data  \r\n  …  0;chunk-signature=…\r\n  [trailers]  \r\n

Source: "Signature calculations for the authorization header: transferring payload in multiple chunks" and
"… including trailing headers", Amazon S3 API reference.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import Enum

from clary.gateway.edge.relay import Refused

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_WITH_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_WITH_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

MAX_LINE_BYTES = 16 * 1024
_EMPTY = hashlib.sha256(b"").hexdigest()
_HEADER = re.compile(rb"^([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})$")


@dataclass(frozen=True, slots=True)
class Seed:
    """What a request's own signature hands to the first chunk's."""

    key: bytes
    """Signing key of the scope."""
    scope: str
    """`date/region/service/aws4_request`."""
    timestamp: str
    """`x-amz-date`."""
    signature: str


class _State(Enum):
    HEADER = "header"
    PAYLOAD = "payload"
    PAYLOAD_END = "payload end"
    TRAILER = "trailer"
    OVER = "over"


class SignedChunks:
    """Checks each chunk's signature and lets its data through, as a plain body or as unsigned chunks.

    Data leaves before its chunk is proved, so that nothing is held: a chunk that does not hold ends the
    request short of its announced length, and the store drops it.
    """

    def __init__(self, seed: Seed, *, has_trailer: bool, mismatch: Refused, malformed: Refused) -> None:
        self._seed = seed
        self._previous = seed.signature
        self._has_trailer = has_trailer
        self._mismatch, self._malformed = mismatch, malformed
        self._state = _State.HEADER
        self._line = bytearray()
        self._left = 0
        self._claimed = ""
        self._digest = hashlib.sha256()
        self._trailers: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        """Return the data in `chunk`."""
        out: list[bytes] = []
        at, end = 0, len(chunk)
        while at < end:
            if self._state is _State.PAYLOAD:
                piece = chunk[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                self._digest.update(piece)
                out += (b"%x\r\n" % len(piece), piece, b"\r\n") if self._has_trailer else (piece,)
                if not self._left:
                    self._prove(self._digest.hexdigest())
                    self._state = _State.PAYLOAD_END
                continue
            if self._state is _State.OVER:
                raise self._malformed
            stop = chunk.find(b"\n", at)
            self._line += chunk[at : end if stop < 0 else stop + 1]
            at = end if stop < 0 else stop + 1
            if len(self._line) > MAX_LINE_BYTES:
                raise self._malformed
            if stop >= 0:
                if self._line[-2:] != b"\r\n":
                    raise self._malformed
                line = bytes(self._line[:-2])
                self._line.clear()
                self._take_line(line)
        return b"".join(out)

    def _take_line(self, line: bytes) -> None:
        if self._state is _State.HEADER:
            match = _HEADER.match(line)
            if match is None:
                raise self._malformed
            self._left, self._claimed = int(match[1], 16), match[2].decode()
            self._digest = hashlib.sha256()
            if self._left:
                self._state = _State.PAYLOAD
            else:
                self._prove(_EMPTY)
                self._state = _State.TRAILER
        elif self._state is _State.PAYLOAD_END:
            if line:
                raise self._malformed
            self._state = _State.HEADER
        elif line:
            if not self._has_trailer or b":" not in line:
                raise self._malformed
            self._trailers.append(line)
        else:
            self._state = _State.OVER

    def feed_end(self) -> bytes:
        """Check that the body is whole; return the trailers, where there are some."""
        # Some clients leave out the blank line behind the last trailer.
        is_whole = self._state is _State.OVER or (self._state is _State.TRAILER and not self._line)
        if not is_whole:
            raise self._malformed
        if not self._has_trailer:
            return b""
        kept = self._checked_trailers()
        return b"".join((b"0\r\n", *(b"%b\r\n" % line for line in kept), b"\r\n"))

    def _checked_trailers(self) -> list[bytes]:
        kept, claimed, canonical = [], "", b""
        for line in self._trailers:
            name, _, value = line.partition(b":")
            name, value = name.strip().lower(), value.strip()
            if name == b"x-amz-trailer-signature":
                claimed = value.decode("latin-1")
            else:
                kept.append(b"%b:%b" % (name, value))
                canonical += b"%b:%b\n" % (name, value)
        text = (
            f"AWS4-HMAC-SHA256-TRAILER\n{self._seed.timestamp}\n{self._seed.scope}\n{self._previous}\n"
            f"{hashlib.sha256(canonical).hexdigest()}"
        )
        if not hmac.compare_digest(self._sign(text), claimed):
            raise self._mismatch
        return kept

    def _prove(self, payload_sha256: str) -> None:
        text = (
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._seed.timestamp}\n{self._seed.scope}\n{self._previous}\n"
            f"{_EMPTY}\n{payload_sha256}"
        )
        signature = self._sign(text)
        if not hmac.compare_digest(signature, self._claimed):
            raise self._mismatch
        self._previous = signature

    def _sign(self, text: str) -> str:
        return hmac.new(self._seed.key, text.encode(), hashlib.sha256).hexdigest()
