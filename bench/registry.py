"""The registry: push and pull of a layer, beside the object store's own throughput in the same run.

    python -m bench.registry [--megabytes 500] [--rounds 3] [--json FILE]

The peer is the object store itself, asked on its own port by the same client: one object of the same bytes,
put and read in one stream, and put in parts by boto3, several at once, whichever is faster. In turns.
"""

import argparse
import hashlib
import http.client
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from bench._bars import Report, quantile
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from clary.gateway.objects import load
from clary.testing.registry import RegistryClient
from clary.testing.server import ClaryServer, end_agents

BUCKET = "bench-registry"
BLOCK_BYTES = 1 << 20
MOST = 2.0
"""No less than half the object store's own throughput."""


def main() -> int:
    """Measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)
    server = ClaryServer.start(home / "data")
    try:
        report = Report("registry")
        _measure(report, server, chosen.megabytes * 10**6, chosen.rounds)
        return report.finish(chosen.json)
    finally:
        server.stop()
        end_agents(server.settings)
        shutil.rmtree(home, ignore_errors=True)


def _measure(report: Report, server: ClaryServer, size: int, rounds: int) -> None:
    account = server.account()
    account.client("ecr").create_repository(repositoryName="bench")
    registry = RegistryClient.of(account, "bench")
    store = Store(server)
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        data = os.urandom(size)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        runs: dict[str, Callable[[], None]] = {
            "store, one stream: put": partial(store.put, data),
            "store, one stream: read": store.get,
            "store, boto3 in parts: put": partial(store.put_parts, data),
            "store, boto3 in parts: read": store.get_parts,
            "registry: push": partial(_push, registry, data, digest),
            "registry: pull": partial(_pull, registry, digest, size),
        }
        for name, run in runs.items():
            taken.setdefault(name, []).append(_timed(run))
    seconds = {name: quantile(values, 0.5) for name, values in taken.items()}
    rows = [
        (name, size / 1e6 / took, min(taken[name]), took, max(taken[name])) for name, took in seconds.items()
    ]
    report.table(f"{size / 1e6:.0f} MB, {rounds} rounds", ("", "MB/s", "least s", "median s", "most s"), rows)
    report.facts["seconds"] = taken
    for ours, theirs in (("push", "put"), ("pull", "read")):
        peer = min(
            took for name, took in seconds.items() if name.startswith("store") and name.endswith(theirs)
        )
        report.bar(
            f"{ours} beside the store's own {theirs}", seconds[f"registry: {ours}"] / peer, MOST, "times"
        )


class Store:
    """The object store on its own port, with its own key."""

    def __init__(self, server: ClaryServer) -> None:
        found = load(server.settings)
        self._where = urlsplit(found.endpoint)
        self._s3 = boto3.client(
            "s3",
            endpoint_url=found.endpoint,
            region_name=found.region,
            aws_access_key_id=found.access_key,
            aws_secret_access_key=found.secret_key,
            config=Config(proxies={}, request_checksum_calculation="when_required"),
        )
        self._s3.create_bucket(Bucket=BUCKET)
        self._path = Path(server.data_dir).parent / "layer"

    def _url(self, operation: str) -> str:
        url = self._s3.generate_presigned_url(operation, {"Bucket": BUCKET, "Key": "one"})
        return url.removeprefix(f"{self._where.scheme}://{self._where.netloc}")

    def put(self, data: bytes) -> None:
        """Write one object in one stream."""
        _stream(self._where.hostname, self._where.port, "PUT", self._url("put_object"), {}, data)

    def get(self) -> None:
        """Read it in one stream."""
        _stream(self._where.hostname, self._where.port, "GET", self._url("get_object"), {})

    def put_parts(self, data: bytes) -> None:
        """Write one object in parts, several at once."""
        self._path.write_bytes(data)
        self._s3.upload_file(str(self._path), BUCKET, "parts", Config=TransferConfig())

    def get_parts(self) -> None:
        """Read it in parts, several at once."""
        self._s3.download_file(BUCKET, "parts", str(self._path), Config=TransferConfig())


def _push(registry: RegistryClient, data: bytes, digest: str) -> None:
    where, headers = urlsplit(registry.url), {"authorization": registry.authorization}
    path = registry.begin()
    _stream(where.hostname, where.port, "PATCH", path, headers, data)
    assert registry.ask("PUT", path, b"", digest=digest).status == 201


def _pull(registry: RegistryClient, digest: str, size: int) -> None:
    where, headers = urlsplit(registry.url), {"authorization": registry.authorization}
    path = f"/v2/{registry.name}/blobs/{digest}"
    assert _stream(where.hostname, where.port, "GET", path, headers) == size


def _stream(
    host: str | None,
    port: int | None,
    method: str,
    path: str,
    headers: dict[str, str],
    data: bytes | None = None,
) -> int:
    """Send a request with the whole of `data`; return how many bytes the answer has."""
    connection = http.client.HTTPConnection(host or "", port, timeout=600)
    connection.request(method, path, data, headers)
    answer, n = connection.getresponse(), 0
    while block := answer.read(BLOCK_BYTES):
        n += len(block)
    connection.close()
    assert answer.status < 300, answer.status
    return n


def _timed(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main())
