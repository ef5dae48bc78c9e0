"""The environment is what sagemaker-training-toolkit computes."""

import json
from pathlib import Path

import pytest

from clary.toolkit import environment

GOLDEN = json.loads((Path(__file__).parent / "training_toolkit_golden.json").read_text())
"""`Environment().to_env_vars()` of sagemaker-training-toolkit 5.1, on the files below, under /opt/ml."""
HYPERPARAMETERS = {
    "n": "5",
    "s": '"str"',
    "f": "1.5",
    "b": "true",
    "l": "[1]",
    "d": '{"a":1,"b":"x"}',
    "raw": "plain text",
    "none": "null",
    "learning-rate": "0.1",
    "sagemaker_submit_directory": '"s3://b/source/sourcedir.tar.gz"',
    "sagemaker_program": '"train.py"',
    "sagemaker_container_log_level": "20",
    "sagemaker_job_name": '"job-1"',
    "sagemaker_region": '"us-east-1"',
    "sagemaker_mpi_enabled": "false",
}
HOSTS = ["algo-1", "algo-2"]
RESOURCES = {
    "current_host": "algo-1",
    "hosts": HOSTS,
    "network_interface_name": "eth0",
    "current_instance_type": "ml.m5.large",
    "current_group_name": "homogeneousCluster",
    "instance_groups": [
        {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.large", "hosts": HOSTS}
    ],
}
FILE_MODE = {
    "TrainingInputMode": "File",
    "S3DistributionType": "FullyReplicated",
    "RecordWrapperType": "None",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    inputs = {"train": {**FILE_MODE, "ContentType": "text/csv"}, "my-val": FILE_MODE}
    files = {"hyperparameters": HYPERPARAMETERS, "resourceconfig": RESOURCES, "inputdataconfig": inputs}
    for name, document in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    return tmp_path


def test_every_variable_is_the_toolkits(config: Path) -> None:
    environ = {"TRAINING_JOB_NAME": "job-1", "AWS_REGION": "us-east-1"}
    training = environment.Training(config, environ=environ, num_cpus=2, num_gpus=0)
    found = training.environment()
    assert {name: found.get(name) for name in GOLDEN} == GOLDEN
    assert set(found) - set(GOLDEN) == {"SAGEMAKER_JOB_NAME", "SAGEMAKER_REGION", "CURRENT_HOST"}
    assert training.entry_point == "train.py"


def test_a_distribution_names_its_hosts_and_master(config: Path) -> None:
    parameters = {**HYPERPARAMETERS, "sagemaker_mpi_enabled": "true"}
    (config / "hyperparameters.json").write_text(json.dumps(parameters))
    values = environment.Training(config, environ={}, num_gpus=0).values()
    assert values["distribution_hosts"] == HOSTS
    assert values["master_hostname"] == "algo-1"


@pytest.mark.parametrize(
    ("hyperparameters", "words"),
    [
        ({"batch-size": 128, "a": 1}, ["-a", "1", "--batch-size", "128"]),
        ({"flag": True, "none": None}, ["--flag", "True", "--none", ""]),
        ({"map": {"b": 2, "a": 1}}, ["--map", "a=1,b=2"]),
        ({"list": ["x", 1]}, ["--list", "['x', 1]"]),
    ],
)
def test_arguments_are_the_toolkits(hyperparameters: dict[str, object], words: list[str]) -> None:
    assert environment.arguments(hyperparameters) == words


def test_what_is_no_json_stays_a_string() -> None:
    assert environment.decode({"a": "0.1", "b": "gini", "c": '"q"', "d": "01"}) == {
        "a": 0.1,
        "b": "gini",
        "c": "q",
        "d": "01",
    }


def test_the_request_wins_over_the_platform() -> None:
    found = environment.platform(
        job_name="job",
        job_arn="arn",
        region="eu-west-1",
        host="algo-2",
        given={"AWS_ENDPOINT_URL": "http://127.0.0.1:4747"},
        requested={"LANG": "de_DE", "MINE": "1"},
    )
    assert found["S3_ENDPOINT_URL"] == "http://127.0.0.1:4747"
    assert (found["LANG"], found["MINE"], found["AWS_REGION"]) == ("de_DE", "1", "eu-west-1")
    assert (found["TRAINING_JOB_NAME"], found["CURRENT_HOST"]) == ("job", "algo-2")


def test_visible_devices_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    assert environment.count_gpus() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert environment.count_gpus() == 0
