"""Requests that no honest client sends: never a 5xx, never a way past the edge."""

import json
import socket
import urllib.parse
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

TARGETS = {
    "sagemaker": ("SageMaker.CreateTrainingJob", "application/x-amz-json-1.1"),
    "logs": ("Logs_20140328.FilterLogEvents", "application/x-amz-json-1.1"),
}
BODIES = {
    "lists": b"[" * 100_000,
    "structures": b'{"a":' * 100_000,
    "closed": b'{"TrainingJobName":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a-text": b"no json",
    "no-utf-8": b'{"TrainingJobName":"\xff\xfe"}',
    "a-number": b"1",
    "a-huge-number": b'{"MaxResults":' + b"9" * 100_000 + b"}",
    "a-long-name": json.dumps({"TrainingJobName": "a" * 2_000_000}).encode(),
    "a-lone-surrogate": b'{"TrainingJobName":"\\ud800"}',
    "a-nul": b'{"TrainingJobName":"a\\u0000b"}',
    "many-members": json.dumps({str(n): n for n in range(100_000)}).encode(),
}


def raw(account: Any, text: Any, *, limit: Any = 1 << 20) -> Any:
    """Send bytes to the edge and return all it answers before it closes, or within two seconds."""
    where = urllib.parse.urlsplit(account.url)
    heard = b""
    with socket.create_connection((where.hostname, where.port), 10) as connection:
        connection.sendall(text)
        connection.settimeout(2)
        try:
            while (piece := connection.recv(65_536)) and len(heard) < limit:
                heard += piece
        except TimeoutError:
            pass
        except ConnectionError:
            pass
    return heard


def signed(account: Any, service: Any, body: Any, *, extra: Any = b"", length: Any = True) -> Any:
    """Return a signed request as bytes."""
    target, content_type = TARGETS[service]
    request = AWSRequest(
        "POST", account.url + "/", {"X-Amz-Target": target, "Content-Type": content_type}, body
    )
    SigV4Auth(
        Credentials(account.access_key_id, account.secret_access_key), service, account.region
    ).add_auth(request)
    host = urllib.parse.urlsplit(account.url).netloc
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"Content-Length: {len(body)}"] if length else []
    head = "\r\n".join(["POST / HTTP/1.1", f"Host: {host}", "Connection: close", *lines]).encode()
    return head + b"\r\n" + extra + b"\r\n" + body


def statuses(heard: Any) -> Any:
    return [int(part.split()[0]) for part in heard.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("service", TARGETS)
@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_makes_no_sense_is_a_4xx(clary_server, service, name):
    account = clary_server.account("default")
    heard = raw(account, signed(account, service, BODIES[name]))
    (status,) = statuses(heard)
    assert 400 <= status < 500
    assert b"Traceback" not in heard


SMUGGLED = b"GET /internal/objects HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "extra",
    [
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding:\tchunked\r\n",
        b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length : 5\r\n",
        b"X: y\r\n Content-Length: 0\r\n",
    ],
)
def test_a_request_of_two_lengths_is_refused_and_its_rest_is_no_request(clary_server, extra):
    account = clary_server.account("default")
    heard = raw(account, signed(account, "sagemaker", b"0\r\n\r\n" + SMUGGLED, extra=extra))
    found = statuses(heard)
    assert len(found) == 1
    assert 400 <= found[0] < 500
    assert b"secret_key" not in heard


PATHS = (
    "/internal/objects",
    "/internal/accounts",
    "/internal/watch",
    "//internal/objects",
    "/./internal/objects",
    "/_clary/../internal/objects",
    "/%69nternal/objects",
    "/%2569nternal/objects",
    "/x/..%2finternal/objects",
    "/INTERNAL/objects",
    "/internal%2fobjects",
    "/internal\\objects",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("target", [b"", b"X-Amz-Target: SageMaker.ListTrainingJobs\r\n"])
def test_internal_paths_are_not_reached_through_the_edge(clary_server, path, target):
    account = clary_server.account("default")
    head = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%b\r\n" % (path.encode(), target)
    heard = raw(account, head)
    (status,) = statuses(heard)
    assert 400 <= status < 500
    assert b"secret_key" not in heard
    assert b'"accounts"' not in heard


def test_an_internal_url_as_absolute_target_is_not_reached(clary_server):
    account = clary_server.account("default")
    heard = raw(account, b"GET http://x/internal/objects HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert all(400 <= status < 500 for status in statuses(heard))
    assert b"secret_key" not in heard


def test_reports_and_credentials_of_runs_need_the_runs_own_token(clary_server):
    account = clary_server.account("default")
    for line in (
        b"GET /_clary/runs/any-run/credentials",
        b"POST /_clary/runs/any-run/algo-1/reports",
        b"GET /_clary/runs/..%2f..%2fetc/credentials",
    ):
        for token in (b"", b"Authorization: Bearer \r\n", b"Authorization: Bearer " + b"0" * 64 + b"\r\n"):
            heard = raw(
                account,
                line
                + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n"
                + token
                + b"\r\n",
            )
            (status,) = statuses(heard)
            assert 400 <= status < 500
