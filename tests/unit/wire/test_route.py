import pytest

from clary.kernel.errors import UnknownOperation
from clary.wire.http import Request
from clary.wire.route import (
    DATA_PLANES,
    JSON_SERVICES,
    QUERY_SERVICES,
    protocol_of,
    route,
    scope_of,
    service_names,
    targets,
)
from clary.wire.service import service

FORM = "application/x-www-form-urlencoded; charset=utf-8"


def signed(service_name: str) -> dict[str, str]:
    scope = f"AKIA/20260102/us-east-1/{service_name}/aws4_request"
    return {"authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


def target(name: str, version: str = "1.1") -> Request:
    headers = {"x-amz-target": name, "content-type": f"application/x-amz-json-{version}"}
    return Request("POST", "/", "", headers, b"{}")


def test_a_target_alone_decides():
    found = route(target("SageMaker.DescribeTrainingJob"))
    assert (found.service, found.operation.name, found.protocol) == (
        "sagemaker",
        "DescribeTrainingJob",
        "json",
    )


def test_every_json_service_is_reached_by_its_models_prefix():
    for name in JSON_SERVICES:
        assert targets()[service(name).target_prefix] == name


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_answer_has_the_content_type_that_was_asked(version):
    found = route(target("GraniteServiceVersion20100801.ListMetrics", version))
    assert found.content_type == f"application/x-amz-json-{version}"


@pytest.mark.parametrize(
    ("scope", "service_name", "body"),
    [
        ("sts", "sts", b"Action=GetCallerIdentity&Version=2011-06-15"),
        ("iam", "iam", b"Version=2010-05-08&Action=GetRole&RoleName=a"),
        ("monitoring", "cloudwatch", b"Action=ListMetrics&Version=2010-08-01"),
        ("sns", "sns", b"Action=ListTopics"),
    ],
)
def test_a_form_goes_where_it_is_signed_for(scope, service_name, body):
    found = route(Request("POST", "/", "", {**signed(scope), "content-type": FORM}, body))
    assert (found.service, found.protocol) == (service_name, "query")
    assert f"Action={found.operation.name}".encode() in body


def test_a_presigned_call_of_sts_is_a_query():
    credential = "AK%2F20260102%2Fus-east-1%2Fsts%2Faws4_request"
    query = f"Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Credential={credential}"
    assert route(Request("GET", "/", query)).operation.name == "GetCallerIdentity"


def test_an_unsigned_form_is_known_by_its_version():
    request = Request(
        "POST", "/", "", {"content-type": FORM}, b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
    )
    assert route(request).operation.is_unsigned


def test_every_operation_of_the_data_planes_is_reached_by_method_and_path():
    for name in DATA_PLANES:
        for operation in service(name).operations.values():
            path = operation.uri.replace("{", "").replace("}", "")
            found = route(Request(operation.method, path, "", signed("sagemaker")))
            assert found.operation is operation
            assert found.protocol == "rest_json"
            assert all(found.params[label] == label for label in found.params)


def test_labels_of_the_path_are_decoded():
    found = route(Request("POST", "/endpoints/a%2Fb%20c/invocations", "", signed("sagemaker")))
    assert found.params == {"EndpointName": "a/b c"}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "name"),
    [
        ("GET", "/", "", {}, "ListBuckets"),
        ("PUT", "/bucket", "", {}, "CreateBucket"),
        ("DELETE", "/bucket/", "", {}, "DeleteBucket"),
        ("HEAD", "/bucket", "", {}, "HeadBucket"),
        ("GET", "/bucket", "location", {}, "GetBucketLocation"),
        ("GET", "/bucket", "list-type=2&prefix=a", {}, "ListObjectsV2"),
        ("GET", "/bucket", "prefix=a", {}, "ListObjects"),
        ("PUT", "/bucket/a/b", "", {}, "PutObject"),
        ("PUT", "/bucket/a", "", {"x-amz-copy-source": "b/c"}, "CopyObject"),
        ("PUT", "/bucket/a", "uploadId=1&partNumber=2", {}, "UploadPart"),
        ("POST", "/bucket/a", "uploads", {}, "CreateMultipartUpload"),
        ("POST", "/bucket", "delete", {}, "DeleteObjects"),
    ],
)
@pytest.mark.parametrize("is_signed", [True, False])
def test_everything_else_is_s3(method, path, query, headers, name, is_signed):
    found = route(Request(method, path, query, {**headers, **(signed("s3") if is_signed else {})}))
    assert (found.service, found.operation.name, found.protocol) == ("s3", name, "rest_xml")


def test_sigv2_urls_are_s3():
    assert route(Request("GET", "/bucket/key", "AWSAccessKeyId=AK&Signature=a&Expires=1")).service == "s3"


def test_a_bucket_called_endpoints_is_a_bucket():
    assert route(Request("PUT", "/endpoints/a/invocations", "", signed("s3"))).operation.name == "PutObject"


@pytest.mark.parametrize(
    ("request_", "text", "protocol"),
    [
        (target("SageMaker.Nonsense"), "sagemaker has no operation 'Nonsense'", "json"),
        (target("Nobody.ListThings"), "Nobody.ListThings", "json"),
        (target(""), "no service has the prefix", "json"),
        (
            Request("POST", "/", "", {**signed("sts"), "content-type": FORM}, b"Action=Nonsense"),
            "Nonsense",
            "query",
        ),
        (Request("POST", "/", "", {**signed("sts"), "content-type": FORM}, b""), "names no Action", "query"),
        (Request("GET", "/nonsense", "", signed("sagemaker")), "GET /nonsense", "rest_json"),
        (Request("GET", "/2015-03-31/functions", "", signed("lambda")), "'lambda'", "rest_json"),
        (Request("POST", "/", "", signed("ec2")), "'ec2'", "query"),
        (Request("PATCH", "/a", "", signed("s3")), "PATCH /a", "rest_xml"),
        (
            Request("POST", "/service/A/operation/B", "", {"smithy-protocol": "rpc-v2-cbor"}),
            "rpc-v2-cbor",
            "cbor",
        ),
    ],
)
def test_what_nobody_serves_is_named_and_never_a_fault_of_ours(request_, text, protocol):
    with pytest.raises(UnknownOperation, match=r".") as caught:
        route(request_)
    assert text in caught.value.message
    assert caught.value.wire_status == 400
    assert protocol_of(request_) == protocol


def test_the_scope_of_a_presigned_url_is_read():
    credential = "AK%2F20260102%2Fus-east-1%2Fsagemaker%2Faws4_request"
    assert scope_of(Request("GET", "/", f"a=b&X-Amz-Credential={credential}")) == "sagemaker"
    assert scope_of(Request("GET", "/", "X-Amz-Credential=nonsense")) is None


def test_all_routed_services_are_listed_once():
    names = service_names()
    assert len(set(names)) == len(names)
    assert {*JSON_SERVICES, *QUERY_SERVICES, *DATA_PLANES, "s3"} <= set(names)
