"""Data capture through boto3: what S3 holds of the invocations."""

import base64
import json
import time

import pytest
from botocore.exceptions import ClientError

from clary.testing.hosting import Hosting, saying


@pytest.fixture(scope="module")
def hosting(clary_server):
    made = Hosting.of(clary_server.account())
    yield made
    made.close()


def capture(hosting, prefix, **members):
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{hosting.bucket}/{prefix}",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json"],
        },
        **members,
    }


def captured(hosting, prefix, n, limit_s=60.0):
    """Return keys and lines below a prefix, once there are `n` lines."""
    s3 = hosting.account.client("s3")
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        listed = s3.list_objects_v2(Bucket=hosting.bucket, Prefix=prefix).get("Contents", ())
        keys = [each["Key"] for each in listed]
        bodies = [s3.get_object(Bucket=hosting.bucket, Key=key)["Body"].read().decode() for key in keys]
        lines = [json.loads(text) for body in bodies for text in body.splitlines()]
        if len(lines) >= n:
            return keys, lines
        time.sleep(0.2)
    raise TimeoutError(f"{len(lines)} lines, not {n}")


@pytest.fixture(scope="module")
def model(hosting):
    return hosting.model(saying("1.5"))


def test_questions_and_answers_lie_where_aws_puts_them(hosting, model):
    config = hosting.config(hosting.variant(model), DataCaptureConfig=capture(hosting, "all"))
    name = hosting.endpoint(config)
    shown = hosting.describe(name)["DataCaptureConfig"]
    assert (shown["CaptureStatus"], shown["CurrentSamplingPercentage"]) == ("Started", 100)
    hosting.ask(name, b"1,2", ContentType="text/csv", InferenceId="mine", CustomAttributes="trace=1")
    hosting.ask(name, b"\xff\x00", ContentType="application/octet-stream")
    keys, lines = captured(hosting, f"all/{name}/AllTraffic/", 2)
    assert keys[0].endswith(".jsonl")
    assert len(keys[0].split("/")) == 8  # all, endpoint, variant, year, month, day, hour, file
    first, second = sorted(lines, key=lambda each: each["captureData"]["endpointInput"]["encoding"] != "CSV")
    assert first["captureData"]["endpointInput"] == {
        "observedContentType": "text/csv",
        "mode": "INPUT",
        "data": "1,2",
        "encoding": "CSV",
    }
    output = first["captureData"]["endpointOutput"]
    assert (output["mode"], base64.b64decode(output["data"])) == ("OUTPUT", b"1.5")
    assert first["eventMetadata"]["inferenceId"] == "mine"
    assert first["eventMetadata"]["customAttributes"] == ["trace=1"]
    assert first["eventVersion"] == "0"
    assert base64.b64decode(second["captureData"]["endpointInput"]["data"]) == b"\xff\x00"


def test_a_sample_of_inputs_alone_and_retention_over_an_update(hosting, model):
    terms = capture(hosting, "part", InitialSamplingPercentage=30, CaptureOptions=[{"CaptureMode": "Input"}])
    name = hosting.endpoint(hosting.config(hosting.variant(model), DataCaptureConfig=terms))
    for _ in range(100):
        hosting.ask(name, b"1", ContentType="text/csv")
    _keys, lines = captured(hosting, f"part/{name}/", 10)
    time.sleep(3)
    _keys, lines = captured(hosting, f"part/{name}/", 10)
    assert 10 <= len(lines) <= 55
    assert all(set(each["captureData"]) == {"endpointInput"} for each in lines)
    plain = hosting.config(hosting.variant(model))
    hosting.sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=plain, RetainAllVariantProperties=True
    )
    assert hosting.settled(name)["DataCaptureConfig"]["CurrentSamplingPercentage"] == 30
    hosting.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=plain)
    assert "DataCaptureConfig" not in hosting.settled(name)


def test_a_destination_that_is_no_uri_is_refused(hosting, model):
    with pytest.raises(ClientError, match="KmsKeyId is not served"):
        hosting.config(hosting.variant(model), DataCaptureConfig=capture(hosting, "x", KmsKeyId="alias/key"))
