from datetime import UTC, datetime

import pytest

from clary.kernel.errors import ValidationException
from clary.wire.codecs import json
from clary.wire.service import service

CREATE = service("sagemaker").operations["CreateTrainingJob"].input
DESCRIBE = service("sagemaker").operations["DescribeTrainingJob"].output


def read(body: bytes):
    return json.reader(CREATE)(json.loads(body))


def test_unknown_members_and_nulls_are_dropped():
    assert read(b'{"TrainingJobName": "a", "Brand": {"new": 1}, "Tags": null}') == {"TrainingJobName": "a"}


def test_an_empty_body_is_an_empty_structure():
    assert read(b"") == {}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"TrainingJobName": 7}', "Value at 'trainingJobName' must be a string, but is a number"),
        (b'{"TrainingJobName": true}', "must be a string, but is a boolean"),
        (b'{"AlgorithmSpecification": "a"}', "'algorithmSpecification' must be a structure, but is a string"),
        (
            b'{"ResourceConfig": {"InstanceCount": "2"}}',
            "'resourceConfig.instanceCount' must be a whole number",
        ),
        (b'{"ResourceConfig": {"InstanceCount": 1.5}}', "a whole number, but is the number 1.5"),
        (
            b'{"ResourceConfig": {"InstanceCount": 99999999999}}',
            "a whole number of 32 bits, but is out of range",
        ),
        (b'{"Tags": {}}', "'tags' must be a list, but is a structure"),
        (b'{"Tags": [{"Key": "a"}, {"Key": []}]}', "'tags.2.member.key' must be a string, but is a list"),
        (
            b'{"HyperParameters": {"eta": 0.2}}',
            "'hyperParameters.eta.member' must be a string, but is a number",
        ),
        (b'{"HyperParameters": []}', "'hyperParameters' must be a map, but is a list"),
        (
            b'{"EnableNetworkIsolation": "true"}',
            "'enableNetworkIsolation' must be a boolean, but is a string",
        ),
        (b'{"TrainingJobName": "\\ud800"}', "'trainingJobName' must be a string of Unicode"),
        (b"[]", "The request must be a structure, but is a list"),
        (b"{", "The request must be JSON, but is not"),
        (b"\xff\xfe{", "The request must be JSON, but is not"),
        (b'{"a":' * 100_000, "The request must be JSON, but is nested too deep"),
    ],
)
def test_a_wrong_type_is_named_with_its_place(body, text):
    with pytest.raises(ValidationException) as caught:
        read(body)
    assert text in caught.value.message
    assert caught.value.wire_code == "SerializationException"
    assert caught.value.wire_status == 400


def test_times_are_epoch_seconds_to_the_millisecond():
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    written = json.writer(DESCRIBE)(
        {"CreationTime": moment, "TrainingEndTime": moment.replace(microsecond=0)}
    )
    assert json.dumps(written) == b'{"CreationTime":1767323045.678,"TrainingEndTime":1767323045}'


@pytest.mark.parametrize(
    "sent", [b"1767323045.678", b'"2026-01-02T03:04:05.678Z"', b'"2026-01-02T05:04:05.678+02:00"']
)
def test_times_are_read_in_every_form(sent):
    shape = service("sagemaker").operations["ListTrainingJobs"].input
    read = json.reader(shape)(json.loads(b'{"CreationTimeAfter":' + sent + b"}"))
    assert read == {"CreationTimeAfter": datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)}
    assert read["CreationTimeAfter"].tzinfo is UTC


@pytest.mark.parametrize("sent", [b"1e300", b'"yesterday"', b"true", b"[]"])
def test_what_is_no_time_is_refused(sent):
    shape = service("sagemaker").operations["ListTrainingJobs"].input
    with pytest.raises(ValidationException, match="'creationTimeAfter' must be a timestamp"):
        json.reader(shape)(json.loads(b'{"CreationTimeAfter":' + sent + b"}"))


def test_writing_drops_what_the_shape_does_not_know():
    value = {
        "TrainingJobName": "a",
        "Secret": object(),
        "FailureReason": None,
        "ModelArtifacts": {"Other": 1},
    }
    assert json.writer(DESCRIBE)(value) == {"TrainingJobName": "a", "ModelArtifacts": {}}


def test_numbers_in_a_map_of_strings_are_written_as_strings():
    assert json.writer(DESCRIBE)({"HyperParameters": {"k": 3}}) == {"HyperParameters": {"k": "3"}}


def test_numbers_that_are_none_have_names():
    value = {
        "FinalMetricDataList": [
            {"MetricName": "a", "Value": number} for number in (float("nan"), float("-inf"), 1.5)
        ]
    }
    found = json.writer(DESCRIBE)(value)["FinalMetricDataList"]
    assert [item["Value"] for item in found] == ["NaN", "-Infinity", 1.5]
