import pytest

from clary.gateway.edge.classify import Kind, classify, invocation, is_internal, scope
from clary.gateway.edge.head import Head


def head(line: str, **fields: str) -> Head:
    method, target = line.split(" ")
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return Head(method, target.encode(), lines, is_http10=False, keeps_alive=True)


def signed(service: str) -> dict[str, str]:
    credential = f"Credential=AKIA/20260101/eu-west-1/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=00"}


@pytest.mark.parametrize(
    ("line", "fields", "kind"),
    [
        ("POST /endpoints/e/invocations", signed("sagemaker"), Kind.INVOKE),
        ("POST /endpoints/e/async-invocations", signed("sagemaker"), Kind.INVOKE),
        ("POST /endpoints/e/invocations-response-stream", signed("sagemaker"), Kind.INVOKE),
        ("POST /endpoints/e/invocations", signed("s3"), Kind.OBJECTS),
        ("PUT /endpoints/e/invocations", signed("s3"), Kind.OBJECTS),
        ("POST /endpoints/e/invocations", {}, Kind.OBJECTS),
        ("POST /endpoints/a/b/invocations", signed("sagemaker"), Kind.CONTROL),
        ("POST /", signed("sagemaker") | {"X_Amz_Target": "SageMaker.ListModels"}, Kind.CONTROL),
        ("POST /", {"X_Amz_Target": "SageMaker.ListModels"}, Kind.CONTROL),
        ("POST /", signed("sts"), Kind.CONTROL),
        ("GET /?X-Amz-Credential=AKIA%2F20260101%2Fr%2Fsts%2Faws4_request", {}, Kind.CONTROL),
        ("GET /b/k?X-Amz-Credential=AKIA%2F20260101%2Fr%2Fs3%2Faws4_request", {}, Kind.OBJECTS),
        ("GET /b/k?AWSAccessKeyId=A&Signature=S&Expires=1", {}, Kind.OBJECTS),
        ("GET /b/k", {}, Kind.OBJECTS),
        ("POST /", {"Host": "sts.amazonaws.com"}, Kind.CONTROL),
        ("POST /", {"Host": "sts.eu-west-1.amazonaws.com:443"}, Kind.CONTROL),
        ("POST /", {"Host": "bucket.s3.amazonaws.com"}, Kind.OBJECTS),
        ("GET /telemetry", {"Host": "sm-pysdk-t-us-east-1.s3.us-east-1.amazonaws.com"}, Kind.TELEMETRY),
        ("GET /_clary/health", {}, Kind.CONTROL),
        ("GET /_clary/metrics/edge", {}, Kind.EDGE),
        ("GET /_clary/notebook/123456789012/us-east-1/mine/lab", {}, Kind.NOTEBOOK),
        ("GET /_clary/../internal/objects", {}, Kind.HIDDEN),
        ("GET /internal/objects", signed("sagemaker"), Kind.HIDDEN),
        ("GET /internal/key", signed("s3"), Kind.OBJECTS),
        ("GET /v2/", {}, Kind.REGISTRY),
        ("PUT /v2/name/manifests/latest", {"Authorization": "Basic QVdTOng="}, Kind.REGISTRY),
        ("GET /v2/key", {"Host": "1.dkr.ecr.us-east-1.amazonaws.com"}, Kind.REGISTRY),
        ("GET /v2/key", {"Host": "bucket.s3.amazonaws.com"}, Kind.OBJECTS),
        ("GET /v2/key", {"Host": "bucket.s3.eu-west-1.amazonaws.com"}, Kind.OBJECTS),
        ("GET /v2/key", signed("s3"), Kind.OBJECTS),
        ("GET /v2key", {}, Kind.OBJECTS),
        ("CONNECT example.org:443", {}, Kind.CONNECT),
    ],
)
def test_the_head_alone_decides_who_answers(line: str, fields: dict[str, str], kind: Kind) -> None:
    one = head(line, **fields)
    assert classify(one, scope(one)) is kind


def test_the_scope_is_read_from_header_and_query() -> None:
    found = scope(head("GET /", **signed("iam")))
    assert found is not None
    assert (found.access_key_id, found.region, found.service) == ("AKIA", "eu-west-1", "iam")
    assert scope(head("GET /", Authorization="AWS AKIA:sig")) is None


def test_the_endpoints_name_is_decoded() -> None:
    assert invocation("/endpoints/a%20b/invocations") == ("a b", "invocations")


@pytest.mark.parametrize(
    "path",
    [
        "/internal/x",
        "//internal/x",
        "/./internal",
        "/a/../internal/x",
        "/%69nternal/x",
        "/%2569nternal",
        "/INTERNAL/x",
    ],
)
def test_every_reading_of_an_internal_path_is_internal(path: str) -> None:
    assert is_internal(path)


@pytest.mark.parametrize("path", ["/", "/internally", "/a/internal", "/_clary/health"])
def test_other_paths_are_not(path: str) -> None:
    assert not is_internal(path)


def test_an_absolute_target_is_read_as_its_path() -> None:
    assert head("GET http://host:1/a?b=1").target == b"/a?b=1"
    assert head("GET http://host?b=1").target == b"/?b=1"


def test_repeated_headers_are_joined() -> None:
    lines = [(b"X-A", b"1"), (b"x-a", b"2"), (b"X-B", b"\xe4")]
    fields = Head("GET", b"/", lines, is_http10=False, keeps_alive=True).fields
    assert fields == {"x-a": "1,2", "x-b": "ä"}
