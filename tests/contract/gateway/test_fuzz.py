"""Malformed heads, lying lengths, slow bodies, huge headers: the edge stays up and confuses nobody."""

import asyncio
import logging
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clary.gateway.edge.limits import Limits

from .conftest import Site
from .neighbours import KEY, SECRET, Neighbours, Replica
from .test_in_place import ask, comes_into_place, constant

N_AT_ONCE = 48
OWN_FAILURE = re.compile(rb"HTTP/1\.1 500[^\r]*\r\n(?!date: [^\r]*\r\nserver: uvicorn)")
"""The control plane of these tests fails of headers that are not UTF-8."""
TOKEN = re.compile(rb"tok-\d+-\d+-")
LIES = [
    b"0",
    b"1",
    b"3",
    b"-1",
    b"+5",
    b"5, 5",
    b"0x5",
    b"99999999999999999999",
    b"26214401",
    b"5 5",
    b"",
    b"abc",
    b"70000",
]
STRANGE = [
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b"\x80",
    b"\xff",
    b"%",
    b"?",
    b"/../",
    b"\r\n\r\n",
    b"\x7f",
]
CODINGS = [b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"transfer-encoding:\tchunked"]
SIZES = [b"-1", b"zz", b"fffffffffffffffff", b"1"]
CHUNK_ENDS = [b"\r\n0\r\n\r\n", b"0\r\n\r\n", b"\r\n0\r\nX: y\r\n\r\n", b""]
WISHES = [b"Expect: 100-continue", b"Upgrade: h2c", b"Connection: close", b"Connection: upgrade"]
FIRST_LINES = [
    b"GET / HTTP/1.1",
    b"POST /endpoints/fuzz/invocations HTTP/9.9",
    b"POST  /x HTTP/1.1",
    b"\0\0\0",
    b"POST /endpoints/fuzz/invocations",
    b"CONNECT fuzz:1 HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"POST http://h/endpoints/fuzz/invocations HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"post / http/1.1",
]


def signed(path: str, body: bytes) -> bytes:
    """Return a whole invocation."""
    request = AWSRequest("POST", f"http://h{path}", data=body, headers={"Content-Type": "text/csv"})
    SigV4Auth(Credentials(KEY, SECRET), "sagemaker", "us-east-1").add_auth(request)
    lines = [f"POST {path} HTTP/1.1", "Host: h"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


class Case:
    """One client's behaviour, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.seed = seed
        self.n_tokens = 0
        self.pieces = self._pieces()
        self.leaves = self.draw.random() < 0.15
        """Half-closes after its last byte."""

    def body(self) -> bytes:
        self.n_tokens += 1
        return b"tok-%d-%d-" % (self.seed, self.n_tokens) + b"x" * self.draw.choice([0, 1, 50, 3000, 70000])

    def request(self) -> bytes:
        path = self.draw.choice(["/endpoints/fuzz/invocations"] * 4 + ["/endpoints/nobody/invocations"])
        return signed(path, self.body())

    def _pieces(self) -> list[bytes]:
        draw = self.draw
        whole = b"".join(
            self._wrong(self.request()) if draw.random() < 0.8 else self.request()
            for _ in range(draw.randint(1, 4))
        )
        if draw.random() < 0.1:
            whole = whole[: draw.randint(0, len(whole))]
        if draw.random() < 0.5:
            return [whole]
        cuts = sorted(draw.randint(0, len(whole)) for _ in range(draw.randint(1, 5)))
        return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    def _wrong(self, request: bytes) -> bytes:
        """Return the request with something wrong in it."""
        draw = self.draw
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        match draw.randint(0, 12):
            case 0 | 1:
                raw = bytearray(head)
                for _ in range(draw.randint(1, 5)):
                    raw[draw.randrange(len(raw))] = draw.randrange(256)
                head = bytes(raw)
            case 2:
                at = draw.randrange(len(head))
                head = head[:at] + draw.choice(STRANGE) + head[at:]
            case 3 | 4:
                lines[-1] = b"Content-Length: " + draw.choice(LIES)
                head = b"\r\n".join(lines)
            case 5:
                lines.insert(draw.randint(1, len(lines)), draw.choice(lines[1:]))
                head = b"\r\n".join(lines)
            case 6:
                lines.insert(1, draw.choice(CODINGS))
                head = b"\r\n".join(lines)
            case 7:
                lines[-1] = b"Transfer-Encoding: chunked"
                head = b"\r\n".join(lines)
                size = draw.choice([b"%x" % len(body), b"%x" % (len(body) + 3), *SIZES])
                body = size + b"\r\n" + body + draw.choice(CHUNK_ENDS)
            case 8:
                lines.insert(1, b"X-Huge: " + b"h" * draw.choice([1000, 30_000, 70_000, 200_000]))
                head = b"\r\n".join(lines)
            case 9:
                lines[1:1] = [b"X-%d: y" % n for n in range(draw.choice([50, 3000]))]
                head = b"\r\n".join(lines)
            case 10:
                lines[0] = draw.choice(FIRST_LINES)
                head = b"\r\n".join(lines)
            case 11:
                lines.insert(1, draw.choice(WISHES))
                head = b"\r\n".join(lines)
            case _:
                head = head.replace(b"\r\n", draw.choice([b"\n", b"\r", b"\r\n "]), draw.randint(1, 5))
        return head + b"\r\n\r\n" + body


async def talk(port: int, case: Case) -> bytes:
    """Send a case's pieces; return all that comes back until the edge closes, or is silent for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        for piece in case.pieces:
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), 10)
            if len(case.pieces) > 1:
                await asyncio.sleep(case.draw.choice([0, 0, 0.005, 0.05]))
        if case.leaves:
            writer.write_eof()
        while piece := await asyncio.wait_for(reader.read(1 << 16), 2.0):
            received += piece
    except (TimeoutError, OSError):
        pass
    finally:
        writer.transport.abort()
    return received


async def witness(port: int, stop: asyncio.Event, wrong: list[bytes]) -> int:
    """Ask plainly all the while; every answer must be to one's own question."""
    n = 0
    while not stop.is_set():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(20):
            n += 1
            body = b"tok-0-%d-" % n
            writer.write(signed("/endpoints/fuzz/invocations", body))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
            answer = await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200") or answer != body:
                wrong.append(head + answer)
        writer.close()
    return n


async def fuzz(port: int, seeds: range) -> tuple[int, list[Any]]:
    stop = asyncio.Event()
    wrong: list[Any] = []
    watching = asyncio.create_task(witness(port, stop, wrong))
    turns = asyncio.Semaphore(N_AT_ONCE)

    async def one(seed: int) -> None:
        async with turns:
            case = Case(seed)
            received = await talk(port, case)
            tokens = {bytes(each) for each in TOKEN.findall(received)}
            own = {b"tok-%d-%d-" % (seed, n + 1) for n in range(case.n_tokens)}
            if (
                not tokens <= own
                or OWN_FAILURE.search(received)
                or (received and not received.startswith(b"HTTP/1.1 "))
            ):
                wrong.append((seed, received[:300]))

    await asyncio.gather(*(one(seed) for seed in seeds))
    stop.set()
    return await watching, wrong


def run(site: Site, caplog: pytest.LogCaptureFixture, n: int, seed: int) -> None:
    caplog.set_level(logging.ERROR)
    n_witnessed, wrong = asyncio.run(fuzz(site.port, range(seed, seed + n)))
    assert not wrong, wrong[:3]
    assert n_witnessed > 0
    failed = [record.getMessage() for record in caplog.records if "failed in the edge" in record.getMessage()]
    assert not failed, failed[:3]


@pytest.fixture
def fuzzed(own_site: Callable[..., Site], replica: Replica) -> Site:
    """Return an edge that is impatient with clients, but not with a replica on a busy machine."""
    neighbours = Neighbours()
    limits = Limits(sweep_s=0.05, head_s=0.5, idle_s=5.0, stall_s=0.5, drain_s=0.1)
    site = own_site(limits, neighbours)
    neighbours.route("fuzz", replica.path)
    return site


def test_strange_requests_neither_stop_the_edge_nor_reach_each_other(
    fuzzed: Site, caplog: pytest.LogCaptureFixture
) -> None:
    run(fuzzed, caplog, 300, 1)


@pytest.mark.slow
def test_ten_thousand_strange_requests_neither_stop_the_edge_nor_reach_each_other(
    fuzzed: Site, caplog: pytest.LogCaptureFixture
) -> None:
    run(fuzzed, caplog, 10_000, 1_000)


def test_plain_requests_pipelined_with_others_stay_in_order_in_place_and_by_the_hop(
    site: Site, neighbours: Neighbours, tmp_path: Path
) -> None:
    one = Replica(tmp_path / "mixed.sock")
    constant(one.path, 7.0)
    one.start()
    neighbours.route("mixed", one.path)
    comes_into_place(site, "mixed", one)
    assert ask(site.client("sagemaker-runtime"), "mixed") == b"7.0\n"
    bodies = [b"1,2" if n % 3 else b"hop-%d" % n for n in range(60)]
    stream = b"".join(signed("/endpoints/mixed/invocations", body) for body in bodies)
    last = b"GET /_clary/metrics/edge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for cut in (0, 1, 700, len(stream) // 2):
        received = site.exchange(stream[:cut], stream[cut:] + last) if cut else site.exchange(stream + last)
        said: list[bytes] = []
        while received.startswith(b"HTTP/1.1 200") and len(said) < len(bodies):
            head, _, received = received.partition(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
            said.append(received[:length])
            received = received[length:]
        assert said == [b"7.0\n" if body == b"1,2" else body for body in bodies]
    one.stop()
