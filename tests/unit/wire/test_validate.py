import random
from typing import Any

import pytest

from clary.kernel.errors import ValidationException
from clary.testing.shapes import invalid, maximal, minimal
from clary.wire.codecs import json
from clary.wire.service import Operation, service
from clary.wire.validate import validate

SAGEMAKER = service("sagemaker").operations
NAME = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"


def refusal(operation: Operation, params: dict[str, Any]) -> str:
    with pytest.raises(ValidationException) as caught:
        validate(operation, params)
    assert caught.value.wire_code == "ValidationException"
    return caught.value.message


def test_a_missing_member_is_null():
    assert refusal(SAGEMAKER["DescribeTrainingJob"], {}) == (
        "1 validation error detected: Value null at 'trainingJobName' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_a_pattern_is_shown():
    assert refusal(SAGEMAKER["DescribeTrainingJob"], {"TrainingJobName": "a_b"}) == (
        "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {NAME}"
    )


def test_several_errors_are_counted_and_joined():
    assert refusal(SAGEMAKER["DescribeTrainingJob"], {"TrainingJobName": "-" * 64}) == (
        f"2 validation errors detected: Value '{'-' * 64}' at 'trainingJobName' failed to satisfy "
        f"constraint: Member must have length less than or equal to 63; Value '{'-' * 64}' at "
        "'trainingJobName' failed to satisfy constraint: Member must satisfy regular expression pattern: "
        f"{NAME}"
    )


def test_an_enum_names_its_values():
    text = refusal(SAGEMAKER["ListTrainingJobs"], {"SortOrder": "Upwards"})
    assert text.endswith(
        "Value 'Upwards' at 'sortOrder' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Ascending, Descending]"
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0, "greater than or equal to 1"), (101, "less than or equal to 100")]
)
def test_numbers_have_bounds(value, text):
    message = refusal(SAGEMAKER["ListTrainingJobs"], {"MaxResults": value})
    assert message.endswith(
        f"Value '{value}' at 'maxResults' failed to satisfy constraint: Member must have value {text}"
    )


@pytest.mark.documented
def test_members_of_structures_in_lists_are_counted_from_one():
    variant = {"VariantName": "a", "ModelName": "a", "InstanceType": "ml.nonsense"}
    text = refusal(
        SAGEMAKER["CreateEndpointConfig"], {"EndpointConfigName": "a", "ProductionVariants": [variant]}
    )
    assert (
        "Value 'ml.nonsense' at 'productionVariants.1.member.instanceType' failed to satisfy constraint: "
        in text
    )
    assert "Member must satisfy enum value set: [ml.t2.medium, " in text


@pytest.mark.documented
def test_values_of_a_map_are_shown_as_java_prints_them():
    params = minimal(SAGEMAKER["CreateTrainingJob"].input) | {"HyperParameters": {"a": "b" * 2501, "c": "d"}}
    text = refusal(SAGEMAKER["CreateTrainingJob"], params)
    assert text.startswith("1 validation error detected: Value '{a=bbbb")
    assert text.endswith(
        "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy constraint: [Member must "
        "have length less than or equal to 2500, Member must satisfy regular expression pattern: .*]"
    )


@pytest.mark.documented
def test_keys_of_a_map_have_constraints():
    params = minimal(SAGEMAKER["CreateTrainingJob"].input) | {"Environment": {"1-": "b"}}
    text = refusal(SAGEMAKER["CreateTrainingJob"], params)
    assert (
        "Value '{1-=b}' at 'environment' failed to satisfy constraint: Map keys must satisfy constraint: ["
        in text
    )


@pytest.mark.documented
def test_scalars_in_lists_are_named_by_the_list():
    text = refusal(SAGEMAKER["DeleteTags"], {"ResourceArn": "arn:aws:a", "TagKeys": ["a", "\x00"]})
    assert "' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must" in text


def test_lists_have_a_size():
    assert (
        "at 'tagKeys' failed to satisfy constraint: Member must have length greater than or equal to 1"
        in refusal(SAGEMAKER["DeleteTags"], {"ResourceArn": "arn:aws:a", "TagKeys": []})
    )


@pytest.mark.parametrize("members", [{}, {"S3DataSource": {}, "FileSystemDataSource": {}}])
def test_a_union_has_one_member(members):
    operation = next(op for op in SAGEMAKER.values() for shape in op.input.members.values() if shape.is_union)
    name = next(name for name, shape in operation.input.members.items() if shape.is_union)
    assert "Member must have exactly one of its members set" in refusal(operation, {name: members})


def test_secrets_are_not_shown():
    operation = service("iam").operations["ChangePassword"]
    text = refusal(operation, {"OldPassword": "a" * 200, "NewPassword": "ok"})
    assert "aaaa" not in text
    assert "Value at 'oldPassword' failed to satisfy constraint: Member must have length" in text


def test_long_values_are_cut():
    assert len(refusal(SAGEMAKER["DescribeTrainingJob"], {"TrainingJobName": "a" * 10**6})) < 3000


def test_not_a_number_is_in_no_range():
    assert "Value 'nan' at 'maxResults'" in refusal(
        SAGEMAKER["ListTrainingJobs"], {"MaxResults": float("nan")}
    )


@pytest.mark.parametrize("make", [minimal, maximal])
@pytest.mark.parametrize(
    "name", ["CreateTrainingJob", "CreateEndpointConfig", "CreateHyperParameterTuningJob", "Search"]
)
def test_valid_requests_pass(name, make):
    validate(SAGEMAKER[name], make(SAGEMAKER[name].input, random.Random(name)))


@pytest.mark.parametrize(
    "name", ["DescribeTrainingJob", "CreateModel", "CreateEndpointConfig", "ListTrainingJobs"]
)
def test_every_fault_is_refused_and_names_its_member(name):
    operation = SAGEMAKER[name]
    for params, path, why in invalid(operation.input, random.Random(name)):
        body = json.dumps(params)
        with pytest.raises(ValidationException) as caught:
            validate(operation, json.reader(operation.input)(json.loads(body)))
        assert f"'{path}'" in caught.value.message
        assert caught.value.wire_code == (
            "SerializationException" if why == "type" else "ValidationException"
        )
