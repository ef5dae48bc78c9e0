import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.gateway.edge.awschunked import Seed, SignedChunks
from clary.gateway.edge.relay import Refused

EMPTY = hashlib.sha256(b"").hexdigest()
# The example of "Transferring payload in multiple chunks", Amazon S3 API reference.
KEY = b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
for part in ("20130524", "us-east-1", "s3", "aws4_request"):
    KEY = hmac.digest(KEY, part.encode(), "sha256")
SEED = Seed(
    KEY,
    "20130524/us-east-1/s3/aws4_request",
    "20130524T000000Z",
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
)
PUBLISHED = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
    + b"a" * 65536
    + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
    + b"a" * 1024
    + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
)
MISMATCH, MALFORMED = Refused(403, b"", b"mismatch"), Refused(400, b"", b"malformed")


def checker(*, has_trailer: bool = False) -> SignedChunks:
    return SignedChunks(SEED, has_trailer=has_trailer, mismatch=MISMATCH, malformed=MALFORMED)


def through(stream: bytes, cuts: list[int], *, has_trailer: bool = False) -> bytes:
    chunks, out, turn = checker(has_trailer=has_trailer), b"", 0
    while stream:
        cut = cuts[turn % len(cuts)]
        out += chunks.feed(stream[:cut])
        stream, turn = stream[cut:], turn + 1
    return out + chunks.feed_end()


def signed(*lines: str) -> str:
    return hmac.digest(KEY, "\n".join((*lines,)).encode(), "sha256").hex()


def framed(pieces: list[bytes], trailers: list[tuple[str, str]] | None = None) -> bytes:
    out, previous = b"", SEED.signature
    for piece in (*pieces, b""):
        digest = hashlib.sha256(piece).hexdigest()
        previous = signed("AWS4-HMAC-SHA256-PAYLOAD", SEED.timestamp, SEED.scope, previous, EMPTY, digest)
        out += f"{len(piece):x};chunk-signature={previous}\r\n".encode() + piece
        out += b"\r\n" if piece else b""
    if trailers:
        canonical = "".join(f"{name}:{value}\n" for name, value in trailers)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        last = signed("AWS4-HMAC-SHA256-TRAILER", SEED.timestamp, SEED.scope, previous, digest)
        for name, value in (*trailers, ("x-amz-trailer-signature", last)):
            out += f"{name}:{value}\r\n".encode()
    return out + b"\r\n"


def test_the_published_example_is_accepted() -> None:
    assert through(PUBLISHED, [len(PUBLISHED)]) == b"a" * (65536 + 1024)


pieces = st.lists(st.binary(min_size=1, max_size=300), max_size=5)
cut_sizes = st.lists(st.integers(1, 97), min_size=1, max_size=9)


@given(pieces=pieces, cuts=cut_sizes)
def test_the_body_comes_out_however_the_stream_is_cut(pieces: list[bytes], cuts: list[int]) -> None:
    assert through(framed(pieces), cuts) == b"".join(pieces)


@given(pieces=pieces, cuts=cut_sizes)
def test_with_trailers_the_body_is_framed_anew(pieces: list[bytes], cuts: list[int]) -> None:
    out = through(framed(pieces, [("x-amz-checksum-crc32", "AAAA")]), cuts, has_trailer=True)
    body = b""
    while not out.startswith(b"0\r\n"):
        size, _, out = out.partition(b"\r\n")
        body, out = body + out[: int(size, 16)], out[int(size, 16) + 2 :]
    assert body == b"".join(pieces)
    assert out == b"0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"


@given(at=st.integers(0, 400), pieces=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4))
def test_no_changed_byte_passes(at: int, pieces: list[bytes]) -> None:
    stream = bytearray(framed(pieces))
    at %= len(stream)
    stream[at] ^= 0x01
    with pytest.raises(Refused):
        through(bytes(stream), [50])


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        PUBLISHED[:-200],
        PUBLISHED[:1000],
        PUBLISHED + b"x",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"zz;chunk-signature=" + b"0" * 64 + b"\r\n",
        b"5;chunk-signature=" + b"0" * 20_000,
        PUBLISHED[:-2] + b"x-amz-meta:1\r\n\r\n",
    ],
)
def test_what_is_cut_short_or_not_framed_is_malformed(stream: bytes) -> None:
    with pytest.raises(Refused) as caught:
        through(stream, [4096])
    assert caught.value is MALFORMED


def test_trailers_that_were_changed_do_not_pass() -> None:
    stream = framed([b"x"], [("x-amz-checksum-crc32", "AAAA")]).replace(b"AAAA", b"BBBB")
    with pytest.raises(Refused) as caught:
        through(stream, [10], has_trailer=True)
    assert caught.value is MISMATCH
