import json
import random
from typing import Any

import botocore.exceptions
import pytest

from clary.kernel.errors import (
    AccessDenied,
    AwsError,
    FaultKind,
    InternalFailure,
    ResourceInUse,
    ResourceNotFound,
    SignatureFault,
    Throttling,
    UnknownOperation,
    ValidationException,
)
from clary.testing.inprocess import client
from clary.testing.shapes import maximal
from clary.wire import exchange
from clary.wire.faults import SIGNATURE_CODES
from clary.wire.http import Request, Response
from clary.wire.route import route
from clary.wire.service import service

CALLS = {
    "sagemaker": lambda made: made.describe_training_job(TrainingJobName="a"),
    "sagemaker-runtime": lambda made: made.invoke_endpoint(EndpointName="a", Body=b"1"),
    "logs": lambda made: made.describe_log_streams(logGroupName="a"),
    "cloudwatch": lambda made: made.get_metric_data(MetricDataQueries=[], StartTime=0, EndTime=1),
    "sts": lambda made: made.get_caller_identity(),
    "iam": lambda made: made.get_role(RoleName="a"),
    "s3": lambda made: made.list_buckets(),
}


def refused(name: str, error: AwsError) -> Any:
    """Return what a client of the service makes of an error."""

    def answer(request: Request) -> Response:
        return exchange.serialize_error(route(request), request, error, "the-request-id")

    with pytest.raises(botocore.exceptions.ClientError) as caught:
        CALLS[name](client(name, answer))
    return caught.value


def spelled(name: str, error: AwsError) -> tuple[str, int]:
    response = refused(name, error).response
    assert response["Error"]["Message"] == error.message
    assert response["ResponseMetadata"]["RequestId"] == "the-request-id"
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("name", "error", "code", "status"),
    [
        ("sagemaker", ValidationException("a <b> & c"), "ValidationException", 400),
        ("sagemaker", ResourceNotFound("a"), "ResourceNotFound", 400),
        ("sagemaker", AccessDenied("a"), "AccessDeniedException", 403),
        ("sagemaker", UnknownOperation("a"), "UnknownOperationException", 400),
        ("sagemaker", Throttling("a"), "ThrottlingException", 400),
        ("sagemaker", InternalFailure("a"), "InternalFailure", 500),
        ("sagemaker-runtime", ValidationException("a"), "ValidationError", 400),
        ("sagemaker-runtime", AwsError("a", code="ModelError"), "ModelError", 424),
        ("logs", ValidationException("a"), "InvalidParameterException", 400),
        ("logs", ResourceNotFound("a"), "ResourceNotFoundException", 400),
        ("cloudwatch", ValidationException("a"), "ValidationError", 400),
        ("sts", ValidationException("a <b> & c"), "ValidationError", 400),
        ("sts", AccessDenied("a"), "AccessDenied", 403),
        ("sts", UnknownOperation("a"), "InvalidAction", 400),
        ("iam", ResourceNotFound("a"), "NoSuchEntity", 404),
        ("iam", AwsError("a", code="NoSuchEntityException"), "NoSuchEntity", 404),
        ("iam", AwsError("a", code="Mine", status=409), "Mine", 409),
        ("s3", AccessDenied("a"), "AccessDenied", 403),
        ("s3", AwsError("a", code="BucketAlreadyExists", status=409), "BucketAlreadyExists", 409),
    ],
)
def test_errors_have_the_names_that_the_services_clients_wait_for(name, error, code, status):
    assert spelled(name, error) == (code, status)


def test_a_resource_in_use_is_found_in_the_errors_that_the_operation_declares():
    request = _logs_request("CreateLogGroup")
    response = exchange.serialize_error(route(request), request, ResourceInUse("a"), "r")
    assert json.loads(response.body)["__type"] == "ResourceAlreadyExistsException"


def _logs_request(name: str) -> Request:
    headers = {"x-amz-target": f"Logs_20140328.{name}", "content-type": "application/x-amz-json-1.1"}
    return Request("POST", "/", "", headers, b"{}")


@pytest.mark.parametrize("kind", FaultKind)
@pytest.mark.parametrize(
    ("name", "protocol"),
    [("sagemaker", "json"), ("sagemaker-runtime", "rest_json"), ("sts", "query"), ("s3", "rest_xml")],
)
def test_refused_signatures_have_the_codes_of_each_protocol(name, protocol, kind):
    response = refused(name, SignatureFault(kind, "as AWS says it")).response
    found = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
    assert found == SIGNATURE_CODES[protocol][kind]
    assert response["Error"]["Message"]


def test_s3_has_texts_of_its_own():
    error = SignatureFault(FaultKind.UNKNOWN_KEY, "The security token included in the request is invalid.")
    assert "does not exist in our records" in str(refused("s3", error))
    assert "security token included" in str(refused("sagemaker", error))


def test_clients_raise_the_errors_of_the_model():
    def answer(request: Request) -> Response:
        return exchange.serialize_error(route(request), request, ResourceNotFound("gone"), "r")

    made = client("sagemaker", answer)
    with pytest.raises(made.exceptions.ResourceNotFound, match="gone"):
        made.describe_training_job(TrainingJobName="a")


def test_errors_carry_their_further_members():
    error = AwsError(
        "a", code="ModelError", members={"OriginalStatusCode": 400, "OriginalMessage": "bad", "X": 1}
    )
    response = refused("sagemaker-runtime", error).response
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (400, "bad")
    assert "X" not in response


def test_json_clients_of_a_former_query_service_get_its_codes():
    error = AwsError("a", code="ResourceNotFoundException", status=404)
    assert spelled("cloudwatch", error)[0] == "ResourceNotFoundException"
    response = refused("cloudwatch", AwsError("a", code="LimitExceededFault")).response
    assert (response["Error"]["Code"], response["Error"]["QueryErrorCode"]) == (
        "LimitExceeded",
        "LimitExceededFault",
    )


def test_an_error_without_a_route_is_in_the_protocol_of_the_request():
    request = _logs_request("Nonsense")
    response = exchange.serialize_error(None, request, UnknownOperation("none"), "r")
    assert json.loads(response.body) == {"__type": "UnknownOperationException", "message": "none"}
    assert response.headers["content-type"] == "application/x-amz-json-1.1"
    bare = exchange.serialize_error(None, Request("GET", "/bucket"), AccessDenied("no"), "r")
    assert b"<Error><Code>AccessDenied</Code>" in bare.body


def test_a_cbor_client_is_refused_in_cbor():
    request = Request("POST", "/service/A/operation/B", "", {"smithy-protocol": "rpc-v2-cbor"})
    response = exchange.serialize_error(None, request, UnknownOperation("none"), "r")
    assert response.headers["smithy-protocol"] == "rpc-v2-cbor"
    assert response.body.startswith(b"\xa2\x7a\x00\x00\x00\x06__type")
    assert b"UnknownOperationException" in response.body


def test_the_answer_to_head_has_no_body():
    request = Request("HEAD", "/bucket", "", {})
    response = exchange.serialize_error(route(request), request, AccessDenied("no"), "r")
    assert (response.status, response.body) == (403, b"")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_json_answers_come_in_the_version_that_was_asked(version):
    headers = {"x-amz-target": "SageMaker.ListModels", "content-type": f"application/x-amz-json-{version}"}
    request = Request("POST", "/", "", headers, b"{}")
    response = exchange.serialize(route(request), {"Models": []}, "r")
    assert response.headers["content-type"] == f"application/x-amz-json-{version}"
    assert response.headers["x-amzn-RequestId"] == "r"


@pytest.mark.parametrize("name", ["DescribeTrainingJob", "ListTrainingJobs", "DescribeEndpoint"])
def test_a_client_reads_whole_answers(name):
    operation = service("sagemaker").operations[name]
    result = maximal(operation.output, random.Random(name))
    made = client(
        "sagemaker",
        lambda request: exchange.serialize(route(request), result, "r"),
        parameter_validation=False,
    )
    read = made._make_api_call(name, {})
    assert read.pop("ResponseMetadata")["HTTPStatusCode"] == 200
    assert read == result


def test_an_invocation_goes_through_whole():
    seen = {}

    def answer(request: Request) -> Response:
        target = route(request)
        seen.update(exchange.parse(target, request))
        result = {"Body": b"\x00\xff", "ContentType": "text/csv", "InvokedProductionVariant": "AllTraffic"}
        return exchange.serialize(target, result, "r")

    made = client("sagemaker-runtime", answer)
    sent = {"EndpointName": "a-b", "Body": b"1,2\n", "ContentType": "text/csv", "Accept": "*/*"}
    read = made.invoke_endpoint(**sent)
    assert {name: seen[name] for name in sent} == sent
    assert read["Body"].read() == b"\x00\xff"
    assert (read["ContentType"], read["InvokedProductionVariant"]) == ("text/csv", "AllTraffic")


def test_a_header_cannot_be_split():
    operation = service("sagemaker-runtime").operations["InvokeEndpoint"]
    request = Request("POST", "/endpoints/a/invocations", "", _sagemaker_scope(), b"")
    response = exchange.serialize(
        route(request), {"Body": b"", "CustomAttributes": "a\r\nset-cookie: b"}, "r"
    )
    name = operation.output.members["CustomAttributes"].wire_name
    assert response.headers[str(name)] == "a  set-cookie: b"


def _sagemaker_scope() -> dict[str, str]:
    scope = "Credential=A/20260101/us-east-1/sagemaker/aws4_request"
    return {"authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}


@pytest.mark.parametrize("body", [b"\xff=1", b"Action=GetRole&RoleName=%FF"])
def test_a_form_that_is_no_text_is_refused(body):
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "authorization": "Credential=A/20260101/r/iam/aws4_request",
    }
    request = Request("POST", "/", "Action=GetRole", headers, body)
    target = route(request)
    with pytest.raises(ValidationException, match="UTF-8") as caught:
        exchange.parse(target, request)
    response = exchange.serialize_error(target, request, caught.value, "r")
    assert b"<Code>MalformedInput</Code>" in response.body
