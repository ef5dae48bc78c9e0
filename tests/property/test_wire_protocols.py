"""What botocore writes we read, and what we write botocore reads: every shape of every service we route."""

import copy
import io
import json
import random
from functools import cache
from typing import Any, cast
from urllib.parse import urlencode

import botocore.loaders
import pytest
from botocore.awsrequest import HeadersDict
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.testing.shapes import maximal, minimal
from clary.wire import exchange
from clary.wire.http import Request, Response
from clary.wire.route import DATA_PLANES, Route, route
from clary.wire.service import Operation, service, signing_name_of
from clary.wire.shape import Shape

CASES = [
    *((name, "json") for name in ("sagemaker", "logs", "cloudwatch", "ecr")),
    *((name, "query") for name in ("sts", "iam", "cloudwatch", "sns")),
    *((name, "rest-json") for name in (*DATA_PLANES, "sagemaker-geospatial")),
]
S3_OPERATIONS = (
    "ListBuckets",
    "CreateBucket",
    "DeleteBucket",
    "HeadBucket",
    "PutBucketTagging",
    "ListObjectsV2",
)


@cache
def model_of(name: str, protocol: str) -> ServiceModel:
    """Return botocore's model, as a client of that protocol has it."""
    description = copy.deepcopy(botocore.loaders.Loader().load_service_model(name, "service-2"))
    if protocol == "query" and name == "cloudwatch":  # the model's query face, as older botocore has it
        for operation, model in description["operations"].items():
            if "output" in model:
                model["output"]["resultWrapper"] = f"{operation}Result"
    return ServiceModel(description, name)


def request_of(model: OperationModel, protocol: str, params: dict[str, Any]) -> Request:
    """Return the request that botocore's serializer writes."""
    made = create_serializer(protocol, include_validation=False).serialize_to_request(params, model)
    scope = signing_name_of(model.service_model.metadata)
    headers = {name.lower(): str(value) for name, value in made["headers"].items()}
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/{scope}/aws4_request, Signature=0"
    )
    path, _, query = made["url_path"].partition("?")
    query = "&".join(part for part in (query, urlencode(made["query_string"] or {}, doseq=True)) if part)
    body = urlencode(made["body"]).encode() if isinstance(made["body"], dict) else made["body"]
    return Request(made["method"], path, query, headers, body)


def read_by_botocore(model: OperationModel, protocol: str, response: Response) -> Any:
    """Return what botocore's parser reads in a response."""
    body: Any = io.BytesIO(response.body) if model.has_streaming_output else response.body
    seen = {
        "status_code": response.status,
        "headers": HeadersDict(response.headers),
        "body": body,
        "context": {},
    }
    parsed = create_parser(protocol).parse(seen, cast("Any", model.output_shape))
    assert parsed.pop("ResponseMetadata")["RequestId"] == "the-request-id"
    whole = {name: value.read() if hasattr(value, "read") else value for name, value in parsed.items()}
    # no body is an empty one; a body without a type of its own gets HTTP's
    return {name: value for name, value in whole.items() if value not in (b"", "application/octet-stream")}


def carried(shape: Shape, value: Any, protocol: str) -> Any:
    """Return what of a value the protocol carries: a form has no words for what is empty."""
    if shape.type_name == "structure" and not shape.is_document:
        found = {name: carried(shape.members[name], item, protocol) for name, item in value.items()}
        if protocol == "query":
            return {
                k: v for k, v in found.items() if v or shape.members[k].type_name not in ("map", "structure")
            }
        return found
    if shape.type_name == "list":
        return [carried(shape.element, item, protocol) for item in value]
    if shape.type_name == "map":
        return {key: carried(shape.value, item, protocol) for key, item in value.items()}
    return value


def check_request(operation: Operation, protocol: str, params: dict[str, Any]) -> None:
    model = model_of(operation.service.name, protocol).operation_model(operation.name)
    request = request_of(model, protocol, params)
    target = route(request)
    assert (target.service, target.operation) == (operation.service.name, operation)
    assert exchange.parse(target, request) == carried(operation.input, params, protocol)


def check_answer(operation: Operation, protocol: str, result: dict[str, Any]) -> None:
    model = model_of(operation.service.name, protocol).operation_model(operation.name)
    if model.output_shape is None or model.has_event_stream_output:
        return
    target = Route(operation.service.name, operation, protocol.replace("-", "_"))
    response = exchange.serialize(target, {**result, "UnknownToTheModel": object()}, "the-request-id")
    assert read_by_botocore(model, protocol, response) == result


@pytest.mark.parametrize(("name", "protocol"), CASES)
@pytest.mark.parametrize("make", [minimal, maximal])
def test_every_request_of_botocore_is_read_as_it_was_meant(name, protocol, make):
    for operation in service(name).operations.values():
        check_request(operation, protocol, make(operation.input, random.Random(operation.name)))


@pytest.mark.parametrize(("name", "protocol"), CASES)
@pytest.mark.parametrize("make", [minimal, maximal])
def test_every_answer_is_read_by_botocore_as_it_was_meant(name, protocol, make):
    for operation in service(name).operations.values():
        check_answer(operation, protocol, make(operation.output, random.Random(operation.name)))


OPERATIONS = [
    (operation, protocol) for name, protocol in CASES for operation in service(name).operations.values()
]


@settings(max_examples=150, deadline=None)
@given(case=st.sampled_from(OPERATIONS), seed=st.integers(0, 2**32))
def test_requests_and_answers_survive_the_wire_whatever_they_hold(case, seed):
    operation, protocol = case
    check_request(operation, protocol, maximal(operation.input, random.Random(seed)))
    check_answer(operation, protocol, maximal(operation.output, random.Random(seed)))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
XML_TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r")
)


@settings(deadline=None)
@given(text=TEXTS)
def test_any_text_survives_json(text):
    operation = service("sagemaker").operations["DescribeTrainingJob"]
    check_answer(operation, "json", {"FailureReason": text, "HyperParameters": {text: text}})
    check_request(
        service("sagemaker").operations["CreateTrainingJob"], "json", {"HyperParameters": {text: text}}
    )


@settings(deadline=None)
@given(text=XML_TEXTS)
def test_any_text_that_xml_can_hold_survives_query(text):
    check_answer(
        service("iam").operations["GetRole"],
        "query",
        {"Role": {"Description": text, "Tags": [{"Key": text}]}},
    )
    check_request(
        service("iam").operations["CreateRole"], "query", {"Description": text, "Tags": [{"Key": text}]}
    )


@given(text=st.text())
def test_text_that_xml_cannot_hold_still_gives_xml(text):
    operation = service("iam").operations["GetRole"]
    response = exchange.serialize(
        Route("iam", operation, "query"), {"Role": {"Description": text}}, "the-request-id"
    )
    model = model_of("iam", "query").operation_model("GetRole")
    assert len(read_by_botocore(model, "query", response)["Role"]["Description"]) == len(text)


@pytest.mark.parametrize("name", S3_OPERATIONS)
@pytest.mark.parametrize("make", [minimal, maximal])
def test_bucket_operations_survive_rest_xml(name, make):
    operation = service("s3").operations[name]
    params = make(operation.input, random.Random(name))
    params.pop("ContentMD5", None)
    model = model_of("s3", "rest-xml").operation_model(name)
    request = request_of(model, "rest-xml", params)
    target = route(request)
    assert target.operation is operation
    assert exchange.parse(target, request) == params
    result = make(operation.output, random.Random(name))
    if model.output_shape is None:
        return
    response = exchange.serialize(target, result, "the-request-id")
    seen = {
        "status_code": 200,
        "headers": HeadersDict(response.headers),
        "body": response.body,
        "context": {},
    }
    parsed = create_parser("rest-xml").parse(seen, model.output_shape)
    parsed.pop("ResponseMetadata")
    assert parsed == result


def test_json_answers_are_json():
    operation = service("sagemaker").operations["DescribeTrainingJob"]
    response = exchange.serialize(Route("sagemaker", operation, "json"), {"TrainingJobName": "a"}, "r")
    assert json.loads(response.body) == {"TrainingJobName": "a"}
