"""What bench/serving.py drives servers with: signed requests, a client in C, CPU times of process trees."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clary.testing.server import Account

HERE = Path(__file__).parent
N_REQUESTS = 256
"""Different ones, each signed by itself, as a client's are."""
AGENT = (
    "Boto3/1.42.0 md/Botocore#1.42.0 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11 md/pyimpl#CPython"
)


class BrokenError(Exception):
    """The server stopped answering; the text says how."""


@dataclass(frozen=True)
class Load:
    """What one window of load showed."""

    n: int
    seconds: float
    errors: int
    p50_us: float
    p99_us: float
    cpu_us: float
    """User and system time of the whole server, for one request."""

    @property
    def rps(self) -> float:
        """Requests per second."""
        return self.n / self.seconds


def built(name: str, folder: Path) -> Path | None:
    """Compile `bench/_<name>.c`; None without a compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    target = folder / name
    subprocess.run([compiler, "-O2", "-o", str(target), str(HERE / f"_{name}.c")], check=True)
    return target


def signed(
    account: Account,
    endpoint: str,
    body: bytes,
    content_type: str,
    accept: str = "*/*",
    n: int = N_REQUESTS,
    further: Mapping[str, str] | None = None,
) -> list[bytes]:
    """Return `n` invocations as boto3 sends them, byte for byte but for the order of headers."""
    host = account.url.partition("://")[2]
    path = f"/endpoints/{endpoint}/invocations"
    signer = SigV4Auth(
        Credentials(account.access_key_id, account.secret_access_key), "sagemaker", account.region
    )
    made = []
    for _ in range(n):
        headers = {
            "Content-Type": content_type,
            "Accept": accept,
            "User-Agent": AGENT,
            "amz-sdk-invocation-id": str(uuid.uuid4()),
            "amz-sdk-request": "attempt=1",
            **(further or {}),
        }
        request = AWSRequest("POST", f"http://{host}{path}", data=body, headers=headers)
        signer.add_auth(request)
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() != "host"]
        lines += [f"Content-Length: {len(body)}", "", ""]
        made.append("\r\n".join(lines).encode() + body)
    return made


def ask(port: int, request: bytes) -> bytes:
    """Send one request; return the answer's body."""
    with socket.create_connection(("127.0.0.1", port), 30) as line:
        line.sendall(request)
        received = b""
        while True:
            piece = line.recv(65536)
            received += piece
            head, end, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            if end and length and len(body) >= int(length[1]):
                return body if b" 200" in head[:20] else b"HTTP " + received
            if end and b"chunked" in head.lower() and body.endswith(b"0\r\n\r\n"):
                return body
            if not piece:
                return b"HTTP " + received


class Driver:
    """The client, in a process of its own, so that what is measured is the server."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self._folder = folder

    def run(
        self, port: int, requests: Iterable[bytes], *, connections: int, seconds: float, pids: Iterable[int]
    ) -> Load:
        """Send requests for some seconds over some connections, one after the other on each."""
        path = self._folder / "requests"
        path.write_bytes(b"".join(struct.pack("<I", len(each)) + each for each in requests))
        pids = tuple(pids)
        before = cpu_s(pids)
        argv = [self._binary, "127.0.0.1", str(port), str(connections), str(seconds), path, "-"]
        done = subprocess.run(list(map(str, argv)), check=False, capture_output=True, text=True)
        if done.returncode:
            raise BrokenError(f"at {connections} connections: {done.stderr.strip()[-200:]}")
        used = cpu_s(pids)
        found = json.loads(done.stdout)
        spent = sum(used[pid] - before.get(pid, 0.0) for pid in used)
        return Load(
            n=found["n"],
            seconds=found["seconds"],
            errors=found["errors"],
            p50_us=found["p50"],
            p99_us=found["p99"],
            cpu_us=spent * 1e6 / max(1, found["n"]),
        )


def tree(*roots: int) -> set[int]:
    """Return processes and all below them."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, ())
    return found


def named(*words: str) -> set[int]:
    """Return processes whose command line has one of the words."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = Path(entry.path, "cmdline").read_bytes()
            except OSError:
                continue
            if any(word.encode() in line for word in words):
                found.add(int(entry.name))
    return found


def cpu_s(pids: Iterable[int]) -> Mapping[int, float]:
    """Return user and system seconds of processes; of those that still are."""
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[pid] = (int(fields[11]) + int(fields[12])) / tick
    return found
