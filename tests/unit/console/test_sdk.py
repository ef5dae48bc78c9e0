"""Programs for the SDK are Python, and say what the job was given; tests/contract/sdk runs them."""

from clary.console import sdk

RESOURCES = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}


def training(**values: str) -> str:
    return sdk.program(
        "TrainingJob",
        {
            "RoleArn": "arn:aws:iam::123456789012:role/R",
            "AlgorithmSpecification": {"TrainingImage": "churn:1", "TrainingInputMode": "File"},
            "ResourceConfig": RESOURCES,
            "HyperParameters": values,
        },
    )


def test_a_text_of_the_customers_stays_a_text() -> None:
    program = training(note="'); raise SystemExit('")
    compile(program, "program", "exec")
    assert repr("'); raise SystemExit('") in program


def test_defaults_of_the_sdk_are_left_out() -> None:
    program = training(depth="3")
    assert "volume_size" not in program
    assert "input_mode" not in program


def test_a_script_is_given_its_values_as_python_has_them() -> None:
    program = training(
        sagemaker_program='"train.py"',
        sagemaker_submit_directory='"s3://b/s.tar.gz"',
        depth="3",
        kind='"tall"',
    )
    assert "entry_point='train.py'" in program
    assert "hyperparameters={'depth': 3, 'kind': 'tall'}" in program


def test_a_noun_that_the_sdk_has_no_class_for_has_no_program() -> None:
    assert sdk.program("CompilationJob", {}) == ""
