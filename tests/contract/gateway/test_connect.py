"""TLS on the public port, and the CONNECT proxy that unmodified AWS host names go through."""

import base64
import http.server
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clary.gateway.certificates import ensure_ca
from clary.gateway.edge.connection import Connection
from clary.gateway.edge.limits import Limits
from clary.wire.credential import Credential
from clary.wire.signature import verify

from .conftest import BUCKET, Site, free_port, read_all
from .neighbours import ACCOUNT, KEY, SECRET, Neighbours, Replica


@pytest.fixture(scope="module")
def bundle(site: Site) -> Path:
    return ensure_ca(site.settings.data_dir).bundle


@pytest.fixture
def through(site: Site, bundle: Path) -> Callable[..., Any]:
    """Return clients that know nothing of Clary but the proxy and its authority."""

    def client(service: str, **given: Any) -> Any:
        given.setdefault("endpoint_url", None)
        return site.client(service, proxies={"https": site.url}, verify=str(bundle), **given)

    return client


@pytest.fixture
def away() -> Iterator[int]:
    """A web server that is not AWS."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"page " * 100_000)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_an_unmodified_sts_url_is_answered(through: Callable[..., Any]) -> None:
    sts = through("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
    assert sts.get_caller_identity()["Account"] == ACCOUNT
    assert sts.get_caller_identity()["Account"] == ACCOUNT  # on the same connection


def test_code_without_any_endpoint_reaches_s3_by_virtual_hosts(
    stored: Site, through: Callable[..., Any], neighbours: Neighbours
) -> None:
    s3 = through("s3")
    body = bytes(range(256)) * 20_000
    s3.put_object(Bucket=BUCKET, Key="tls/key", Body=body)  # in two nested chunkings, as boto3 sends over TLS
    assert s3.get_object(Bucket=BUCKET, Key="tls/key")["Body"].read() == body
    assert "ContentEncoding" not in s3.head_object(Bucket=BUCKET, Key="tls/key")
    assert (
        stored.client("s3").get_object(Bucket=BUCKET, Key="tls/key", Range="bytes=0-3")["Body"].read()
        == body[:4]
    )
    elsewhere = through("s3", region="eu-west-1")
    assert elsewhere.head_object(Bucket=BUCKET, Key="tls/key")["ContentLength"] == len(body)
    n_before = len(stored.control.requests)
    s3.create_bucket(Bucket="made-by-host")
    request = stored.control.requests[n_before]
    assert (request["method"], request["path"]) == ("PUT", "/made-by-host")
    # The control plane checks the signature again.
    found = verify(
        method="PUT",
        path=request["path"],
        query=request["query"],
        headers=dict(request["headers"]),
        body_sha256=None,
        lookup={KEY: Credential(KEY, SECRET, ACCOUNT, "p")}.get,
        now=datetime.now(UTC),
    )
    assert (found.region, found.service) == ("us-east-1", "s3")


def test_code_without_any_endpoint_reaches_invocations(
    through: Callable[..., Any], neighbours: Neighbours, replica: Replica
) -> None:
    neighbours.route("tls", replica.path)
    body = bytes(3_000_000)
    answer = through("sagemaker-runtime").invoke_endpoint(EndpointName="tls", Body=body)
    assert answer["Body"].read() == body


def test_telemetry_of_the_sdk_ends_here(site: Site, bundle: Path) -> None:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": site.url}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=bundle)),
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open("https://sm-pysdk-t-us-east-1.s3.us-east-1.amazonaws.com/telemetry?x-accountId=1")
    assert caught.value.code == 404


def connect(site: Site, target: str, *more: bytes) -> tuple[socket.socket, bytes]:
    connection = site.connect()
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode() + b"".join(more))
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(1)
        assert piece, head
        head += piece
    return connection, head


def test_other_hosts_are_tunnelled(site: Site, away: int) -> None:
    connection, head = connect(site, f"127.0.0.1:{away}")
    assert head.startswith(b"HTTP/1.1 200")
    with connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(connection).endswith(b"page " * 100_000)


def test_bytes_sent_together_with_a_connect_are_not_lost(site: Site, away: int) -> None:
    connection, _ = connect(site, f"127.0.0.1:{away}", b"GET / HTTP/1.0\r\n\r\n")
    with connection:
        assert read_all(connection).endswith(b"page " * 100_000)


def test_a_host_that_does_not_answer_is_a_502(site: Site) -> None:
    connection, head = connect(site, f"127.0.0.1:{free_port()}")
    connection.close()
    assert head.startswith(b"HTTP/1.1 502")


@pytest.mark.parametrize("target", ["nohost", "x:0", "x:99999", "x:http", ":443"])
def test_a_target_that_is_none_is_refused(site: Site, target: str) -> None:
    connection, head = connect(site, target)
    connection.close()
    assert head.startswith(b"HTTP/1.1 400")


class Upstream(threading.Thread):
    """A proxy that wants a password."""

    def __init__(self, away: int) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._away = away
        self.heads: list[bytes] = []

    def run(self) -> None:
        for status in (b"200 OK", b"403 No"):
            client, _ = self._listener.accept()
            with client:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += client.recv(4096)
                self.heads.append(head)
                client.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")
                if status.startswith(b"200"):
                    with socket.create_connection(("127.0.0.1", self._away)) as far:
                        far.sendall(client.recv(4096))
                        client.sendall(read_all(far))
        self._listener.close()


def test_an_upstream_proxy_is_used_for_other_hosts_only(own_site: Callable[..., Any], away: int) -> None:
    upstream = Upstream(away)
    upstream.start()
    site = own_site(upstream_proxy=f"http://user:p%40ss@127.0.0.1:{upstream.port}")
    connection, head = connect(site, "example.org:443")
    with connection:
        assert head.startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(connection).endswith(b"page " * 100_000)
    assert upstream.heads[0].startswith(b"CONNECT example.org:443 HTTP/1.1\r\n")
    assert base64.b64encode(b"user:p@ss") in upstream.heads[0]
    connection, head = connect(site, "example.org:443")
    connection.close()
    assert head.startswith(b"HTTP/1.1 502")
    upstream.join(10)
    bundle = str(ensure_ca(site.settings.data_dir).bundle)
    sts = site.client("sts", endpoint_url=None, proxies={"https": site.url}, verify=bundle)
    assert sts.get_caller_identity()["Account"] == ACCOUNT
    assert len(upstream.heads) == 2


def test_the_same_port_speaks_tls_to_names_and_addresses(site: Site, bundle: Path) -> None:
    for host in ("localhost", "127.0.0.1"):
        sts = site.client("sts", endpoint_url=f"https://{host}:{site.port}", verify=str(bundle))
        assert sts.get_caller_identity()["Account"] == ACCOUNT


def test_from_another_machine_only_tls_is_taken(
    site: Site, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "_is_near", lambda _self: False)
    with site.connect() as plain:
        plain.sendall(b"GET /_clary/health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read_all(plain)
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert answer.endswith(b"https://\n")
    sts = site.client("sts", endpoint_url=f"https://localhost:{site.port}", verify=str(bundle))
    assert sts.get_caller_identity()["Account"] == ACCOUNT


def test_a_server_name_gets_a_certificate_of_its_own(site: Site) -> None:
    context = ssl.create_default_context(cafile=ensure_ca(site.settings.data_dir).certificate)
    with context.wrap_socket(site.connect(), server_hostname="clary.example.org") as tls:
        tls.sendall(b"GET /_clary/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_all(tls).startswith(b"HTTP/1.1 200")


def test_a_client_that_does_not_trust_us_is_told_by_tls(site: Site) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(site.connect(), server_hostname="localhost")
    with site.connect() as connection:
        connection.sendall(b"\x16nonsense of a client hello" * 20)
        connection.recv(100)
        assert connection.recv(100) == b""


def test_a_tls_client_that_stalls_is_dropped(own_site: Callable[..., Any]) -> None:
    site = own_site(Limits(sweep_s=0.05, idle_s=0.2, drain_s=0.1))
    with site.connect() as connection:
        connection.sendall(b"\x16\x03\x01")
        assert connection.recv(10) == b""


def test_a_program_needs_nothing_but_the_environment(own_site: Callable[..., Any], tmp_path: Path) -> None:
    site = own_site()
    bundle = ensure_ca(site.settings.data_dir).bundle
    program = (
        "import boto3; print(boto3.client('sts', region_name='us-east-1', "
        f"aws_access_key_id='{KEY}', aws_secret_access_key='{SECRET}', "
        "endpoint_url='https://sts.us-east-1.amazonaws.com').get_caller_identity()['Account'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"HTTPS_PROXY": site.url, "AWS_CA_BUNDLE": str(bundle), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == ACCOUNT
