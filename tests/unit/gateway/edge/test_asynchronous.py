"""What an asynchronous invocation asks for."""

import pytest

from clary.gateway.edge.stages.asynchronous import job_of

TERMS = {"output": "s3://b/out/", "failure": "s3://b/failed"}
FIELDS = {"x-amzn-sagemaker-inputlocation": "s3://b/in"}


def test_places_follow_from_the_configuration_and_the_request():
    fields = FIELDS | {
        "x-amzn-sagemaker-filename": "mine.json",
        "x-amzn-sagemaker-s3outputpathextension": "a/b/",
        "x-amzn-sagemaker-requestttlseconds": "60",
    }
    job = job_of(fields, TERMS, b"")
    assert job["output"] == "s3://b/out/a/b/mine.json"
    assert job["failure"] == f"s3://b/failed/{job['id']}-error.out"
    assert job["RequestTTLSeconds"] == 60
    assert job["header"]["inference_id"] == job["id"]


@pytest.mark.parametrize(
    ("fields", "body", "text"),
    [
        ({}, b"", "InputLocation or Body"),
        (FIELDS, b"x", "InputLocation or Body"),
        ({"x-amzn-sagemaker-inputlocation": "/etc/passwd"}, b"", "InputLocation"),
        (FIELDS | {"x-amzn-sagemaker-requestttlseconds": "59"}, b"", "RequestTTLSeconds"),
        (FIELDS | {"x-amzn-sagemaker-invocationtimeoutseconds": "x"}, b"", "InvocationTimeoutSeconds"),
        (FIELDS | {"x-amzn-sagemaker-filename": "a\tb"}, b"", "Filename"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_member(fields, body, text):
    with pytest.raises(ValueError, match=text):
        job_of(fields, TERMS, body)
