import pytest

from clary.wire.route import service_names
from clary.wire.service import metadata, service


def test_a_service_knows_its_operations_and_how_it_is_reached():
    sagemaker = service("sagemaker")
    assert sagemaker is service("sagemaker")
    assert (sagemaker.target_prefix, sagemaker.signing_name, sagemaker.json_version) == (
        "SageMaker",
        "sagemaker",
        "1.1",
    )
    assert sagemaker.protocols == ("json",)
    assert len(sagemaker.operations) > 400


def test_an_operation_knows_its_shapes_and_errors():
    operation = service("sagemaker").operations["CreateTrainingJob"]
    assert operation.input.required[0] == "TrainingJobName"
    name = operation.input.members["TrainingJobName"]
    assert (name.type_name, name.min, name.max) == ("string", 1, 63)
    assert operation.input.members["InputDataConfig"].element.members["ChannelName"].pattern
    assert {"ResourceInUse", "ResourceLimitExceeded"} <= operation.error_codes
    assert operation.output.members["TrainingJobArn"].type_name == "string"


def test_operations_without_input_or_output_have_empty_structures():
    operation = service("sagemaker").operations["DeleteModel"]
    assert operation.output.type_name == "structure"
    assert operation.output.members == {}


def test_the_same_reference_gives_the_same_shape():
    operations = service("sagemaker").operations
    one = operations["CreateTrainingJob"].input.members["RoleArn"]
    assert one is operations["CreateModel"].input.members["ExecutionRoleArn"]


def test_shapes_may_contain_themselves():
    search = service("sagemaker").operations["Search"].input.members["SearchExpression"]
    assert search.members["SubExpressions"].element is search


def test_operations_that_need_no_key_say_so():
    sts = service("sts").operations
    assert sts["AssumeRoleWithWebIdentity"].is_unsigned
    assert not sts["AssumeRole"].is_unsigned


def test_errors_are_found_by_name_and_by_the_query_protocols_code():
    errors = service("iam").errors
    assert errors["NoSuchEntityException"] is errors["NoSuchEntity"]
    assert errors["NoSuchEntity"].error_status == 404


def test_a_summary_names_what_goes_in_and_out():
    summary = service("sagemaker-runtime").operations["InvokeEndpoint"].describe()
    assert summary["Uri"] == "/endpoints/{EndpointName}/invocations"
    assert summary["Required"] == ["EndpointName", "Body"]
    assert summary["Input"]["Body"] == "blob"
    assert "ModelError" in summary["Errors"]


def test_metadata_is_read_without_the_model():
    for name in service_names():
        assert metadata(name) == service(name).metadata


@pytest.mark.parametrize("name", ["nonsense", "../../etc", "SageMaker", ""])
def test_an_unknown_service_is_named(name):
    with pytest.raises(LookupError, match="no service"):
        service(name)
