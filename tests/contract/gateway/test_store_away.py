"""What a client of S3 sees of an object store that is away, restarts, or is not well."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError

from clary.gateway.edge.limits import Limits

from .conftest import BUCKET, Site, Weed
from .neighbours import ACCOUNT, Neighbours


def test_requests_wait_for_a_store_that_restarts(stored: Site, weed: Weed) -> None:
    s3 = stored.client("s3", attempts=12)
    s3.put_object(Bucket=BUCKET, Key="before", Body=b"kept")
    weed.stop()
    with ThreadPoolExecutor(2) as threads:
        put = threads.submit(s3.put_object, Bucket=BUCKET, Key="during", Body=b"x" * 1000)
        get = threads.submit(s3.get_object, Bucket=BUCKET, Key="before")
        weed.start()
        put.result(60)
        assert get.result(60)["Body"].read() == b"kept"
    assert s3.get_object(Bucket=BUCKET, Key="during")["Body"].read() == b"x" * 1000


def test_a_store_that_stays_away_is_a_503(stored: Site, weed: Weed) -> None:
    weed.stop()
    try:
        with pytest.raises(ClientError) as caught:
            stored.client("s3").get_object(Bucket=BUCKET, Key="warm")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    finally:
        weed.start()


class Unwell(BaseHTTPRequestHandler):
    """A store that answers, but does not know its own volumes for a while."""

    protocol_version = "HTTP/1.1"
    n_left = 0
    asked: ClassVar[list[tuple[str, bytes]]] = []

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        type(self).asked.append((self.path, body))
        is_unwell, type(self).n_left = self.n_left > 0, self.n_left - 1
        body = (
            b"<Error><Code>InternalError</Code></Error>"
            if is_unwell
            else b""
            if self.command == "PUT"
            else b"well"
        )
        self.send_response(500 if is_unwell else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_PUT()

    def log_message(self, *given: object) -> None:
        """Say nothing."""


@pytest.fixture
def unwell(own_site: Callable[..., Any]) -> Iterator[Site]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Unwell) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        given = Neighbours(buckets={BUCKET: ACCOUNT})
        given.objects["endpoint"] = endpoint
        Unwell.asked.clear()
        yield own_site(Limits(sweep_s=0.05, drain_s=0.1, unwell_s=1.0), given)
        server.shutdown()


def test_a_store_that_has_not_found_its_volumes_yet_is_asked_again(unwell: Site) -> None:
    s3 = unwell.client("s3")
    Unwell.n_left = 3
    assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"well"
    Unwell.n_left = 3
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"all of it")
    assert [body for _, body in Unwell.asked] == [b""] * 4 + [b"all of it"] * 4


def test_a_store_that_stays_unwell_is_heard(unwell: Site) -> None:
    Unwell.n_left = 10**6
    with pytest.raises(ClientError) as caught:
        unwell.client("s3").get_object(Bucket=BUCKET, Key="k")
    response = caught.value.response
    assert response["Error"]["Code"] == "InternalError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert len(Unwell.asked) > 2
