"""HTTP/1.1 as the edge speaks it, byte by byte."""

import json
import socket
import time
import urllib.request

from .conftest import Site, read_all
from .neighbours import ACCOUNT


def answers(stream: bytes) -> list[tuple[int, bytes]]:
    """Cut a stream of answers with Content-Length."""
    found = []
    while stream:
        head, _, stream = stream.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        lengths = [
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line
        ]
        length = lengths[0] if lengths else 0
        found.append((status, stream[:length]))
        stream = stream[length:]
    return found


def get(path: str, *, close: bool = False) -> bytes:
    ending = "Connection: close\r\n\r\n" if close else "\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{ending}".encode()


def test_pipelined_requests_are_answered_in_their_order(site: Site) -> None:
    stream = b"".join(get(f"/_clary/{n}") for n in range(30)) + get("/_clary/last", close=True)
    bodies = [json.loads(body)["path"] for status, body in answers(site.exchange(stream))]
    assert bodies == [*(f"/_clary/{n}" for n in range(30)), "/_clary/last"]


def test_thousands_of_pipelined_requests_in_one_write_are_answered(site: Site) -> None:
    stream = get("/_clary/../internal/x") * 3000 + get("/_clary/metrics/edge", close=True)
    with site.connect() as connection:
        connection.sendall(stream)
        assert len(answers(read_all(connection))) == 3001


def test_a_request_cut_into_single_bytes_is_understood(site: Site) -> None:
    with site.connect() as connection:
        for byte in get("/_clary/slow", close=True):
            connection.sendall(bytes([byte]))
        assert answers(read_all(connection))[0][0] == 200


def test_expect_continue_is_answered_before_the_body_is_sent(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(
            b"POST /_clary/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        status, body = answers(read_all(connection))[0]
    assert status == 200
    assert json.loads(body)["body"] == "hello"
    assert "expect" not in dict(json.loads(body)["headers"])


def test_a_chunked_body_arrives_whole(site: Site) -> None:
    head = b"POST /_clary/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    stream = site.exchange(head, b"5\r\nhel", b"lo\r\n3;ext=1\r\nyou\r\n", b"0\r\nTrailer: x\r\n\r\n")
    assert json.loads(answers(stream)[0][1])["body"] == "helloyou"


def test_a_streamed_answer_is_chunked_for_http11_and_ended_by_close_for_http10(site: Site) -> None:
    stream = site.exchange(get("/_clary/stream", close=True))
    assert b"transfer-encoding: chunked" in stream
    assert stream.endswith(b"7\r\nline 2\n\r\n0\r\n\r\n")
    old = site.exchange(b"GET /_clary/stream HTTP/1.0\r\n\r\n")
    assert b"transfer-encoding" not in old
    assert old.endswith(b"\r\n\r\nline 0\nline 1\nline 2\n")


def test_http10_keep_alive_is_honoured(site: Site) -> None:
    request = b"GET /_clary/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    stream = site.exchange(request + b"GET /_clary/y HTTP/1.0\r\n\r\n")
    assert [status for status, _ in answers(stream)] == [200, 200]
    assert stream.count(b"connection: keep-alive") == 1


def test_the_answer_to_head_has_no_body(site: Site) -> None:
    stream = site.exchange(b"HEAD /_clary/x HTTP/1.1\r\nHost: x\r\n\r\n" + get("/_clary/y", close=True))
    head, _, rest = stream.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: " in head.lower()
    assert rest.startswith(b"HTTP/1.1 200")


def test_a_client_that_sends_no_more_still_gets_its_answer(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(get("/_clary/half"))
        connection.shutdown(socket.SHUT_WR)
        assert answers(read_all(connection))[0][0] == 200


def test_a_client_that_leaves_in_the_middle_of_a_body_is_dropped(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(b"POST /_clary/x HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""


def test_a_head_that_drips_in_too_slowly_is_refused(site: Site) -> None:
    request = b"GET /_clary/" + b"x" * 200
    with site.connect() as connection:
        for n in range(100):
            try:
                connection.sendall(request[n : n + 1])
            except OSError:
                break
            time.sleep(0.02)
            connection.setblocking(False)
            try:
                if connection.recv(1, socket.MSG_PEEK):
                    break
            except BlockingIOError:
                pass
            connection.setblocking(True)
        connection.settimeout(5)
        assert read_all(connection).startswith(b"HTTP/1.1 408")


def test_a_body_that_stalls_is_refused(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(b"POST /_clary/x HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf")
        started = time.monotonic()
        assert answers(read_all(connection))[0][0] == 408
        assert time.monotonic() - started < 5


def test_a_head_over_the_limit_is_refused(site: Site) -> None:
    stream = site.exchange(b"GET /_clary/x HTTP/1.1\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n")
    assert answers(stream)[0][0] == 431
    endless = site.exchange(b"GET /_clary/x HTTP/1.1\r\nX-Long: " + b"x" * 70_000)
    assert answers(endless)[0][0] == 431


def test_what_is_not_http_is_refused(site: Site) -> None:
    assert answers(site.exchange(b"nonsense\r\n\r\n"))[0][0] == 400
    both = b"POST /_clary/x HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert answers(site.exchange(both))[0][0] == 400


def test_a_wish_for_another_protocol_is_ignored(site: Site) -> None:
    upgrade = b"GET /_clary/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    stream = site.exchange(upgrade + get("/_clary/y", close=True))
    assert [status for status, _ in answers(stream)] == [200, 200]


def test_the_control_plane_sees_the_request_as_sent_and_the_true_peer(site: Site) -> None:
    request = urllib.request.Request(
        f"{site.url}/_clary/a%2Fb/c?x=1&y=%20",
        data=b"body",
        headers={"X-Clary-Peer": "6.6.6.6", "X-Case": "Kept"},
    )
    with urllib.request.urlopen(request) as answer:
        seen = json.load(answer)
    assert (seen["path"], seen["query"], seen["body"]) == ("/_clary/a%2Fb/c", "x=1&y=%20", "body")
    headers = seen["headers"]
    assert [value for name, value in headers if name == "x-clary-peer"] == ["127.0.0.1"]
    assert ("host", f"127.0.0.1:{site.port}") in [tuple(each) for each in headers]


def test_internal_paths_are_never_forwarded(site: Site) -> None:
    credential = "Credential=A/20260101/r/sagemaker/aws4_request"
    scope = f"Authorization: AWS4-HMAC-SHA256 {credential}, SignedHeaders=h, Signature=0"
    for path in (
        "/internal/objects",
        "/%69nternal/objects",
        "//internal/objects",
        "/x/..%2finternal/objects",
    ):
        stream = site.exchange(
            f"GET {path} HTTP/1.1\r\nHost: x\r\n{scope}\r\nConnection: close\r\n\r\n".encode()
        )
        assert answers(stream)[0][0] == 404, path
    for path in ("/internal/objects", "/_clary/../internal/objects"):
        stream = site.exchange(get(path, close=True))
        assert answers(stream)[0][0] in {403, 404}, path
        assert b"secret_key" not in stream


def test_a_body_over_the_control_planes_limit_is_refused(site: Site) -> None:
    head = b"POST /_clary/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (
        65 << 20
    )
    assert answers(site.exchange(head + b"x"))[0][0] == 413


def test_the_metrics_count_requests_by_kind_and_status(site: Site) -> None:
    site.exchange(get("/_clary/counted", close=True))
    text = site.exchange(get("/_clary/metrics/edge", close=True)).decode()
    assert 'kind="control",code="2xx"}' in text
    assert "# TYPE clary_edge_request_seconds histogram" in text


def test_unsigned_sts_of_web_identities_goes_to_the_control_plane(site: Site) -> None:
    body = b"Action=AssumeRoleWithWebIdentity"
    head = (
        b"POST / HTTP/1.1\r\nHost: sts.amazonaws.com\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        % len(body)
    )
    status, answer = answers(site.exchange(head + body))[0]
    assert (status, json.loads(answer)["body"]) == (200, body.decode())


def test_sts_is_answered_through_boto3(site: Site) -> None:
    assert site.client("sts").get_caller_identity()["Account"] == ACCOUNT
