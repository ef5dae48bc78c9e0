import asyncio
from pathlib import Path

import pytest

from clary.gateway.connect import ConnectProxy, is_aws, upstream_proxy
from clary.gateway.edge.head import Head
from clary.kernel.settings import Settings

SETTINGS = Settings(data_dir=Path("/nowhere"), port=4747)


@pytest.mark.parametrize(
    "host", ["sts.amazonaws.com", "b.s3.eu-west-1.amazonaws.com", "x.amazonaws.com.cn", "e.api.aws"]
)
def test_aws_names_are_ours(host: str) -> None:
    assert is_aws(host)


@pytest.mark.parametrize(
    "host", ["pypi.org", "amazonaws.com.evil.org", "notamazonaws.com", "aws.amazon.com", "api.aws.x"]
)
def test_other_names_are_not(host: str) -> None:
    assert not is_aws(host)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, ""),
        ({"CLARY_UPSTREAM_PROXY": "http://p:1", "HTTPS_PROXY": "http://q:1"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://127.0.0.1:4747"}, ""),
        ({"HTTPS_PROXY": "localhost:4747", "https_proxy": "http://q:1"}, "http://q:1"),
        ({"HTTPS_PROXY": "http://127.0.0.1:3128"}, "http://127.0.0.1:3128"),
    ],
)
def test_the_way_out_is_never_through_ourselves(environ: dict[str, str], url: str) -> None:
    assert upstream_proxy(environ, SETTINGS) == url


class _Exchange:
    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.head = Head("CONNECT", b"example.org:443", [], is_http10=False, keeps_alive=True)
        self.status = 0

    def answer(self, status: int, _lines: bytes, _body: bytes) -> None:
        self.status = status


class _Connection:
    is_tls = False
    close_after = False


class _Edge:
    def speak_tls(self, *_: object) -> None:
        raise AssertionError("no TLS for those who may not")


@pytest.mark.parametrize("peer", ["192.0.2.7", "2001:db8::1"])
def test_programs_on_other_machines_may_not_use_the_proxy(peer: str) -> None:
    exchange = _Exchange(peer)
    asyncio.run(ConnectProxy(_Edge()).open(_Connection(), exchange, b""))  # type: ignore[arg-type]
    assert exchange.status == 403
