"""The processing contract: requests read, paths judged, configuration written."""

import json
from pathlib import Path

import pytest

from clary.toolkit import processing

REQUEST = {
    "ProcessingJobName": "job",
    "ProcessingInputs": [
        {
            "InputName": "code",
            "S3Input": {
                "S3Uri": "s3://b/code",
                "LocalPath": "/opt/ml/processing/code/",
                "S3DataType": "S3Prefix",
            },
        },
        {
            "InputName": "own",
            "AppManaged": True,
            "S3Input": {"S3Uri": "s3://b/own", "S3DataType": "S3Prefix"},
        },
    ],
    "ProcessingOutputConfig": {
        "Outputs": [
            {
                "OutputName": "o",
                "S3Output": {
                    "S3Uri": "s3://b/o/",
                    "LocalPath": "/opt/ml/processing/o",
                    "S3UploadMode": "Continuous",
                },
            }
        ]
    },
}


def test_inputs_of_the_platform_are_read_and_those_of_the_program_left_to_it() -> None:
    (found,) = processing.inputs(REQUEST)
    assert (found.channel.name, found.path) == ("code", "/opt/ml/processing/code")
    assert (found.channel.distribution, found.channel.is_pipe) == ("FullyReplicated", False)


def test_outputs_are_read() -> None:
    (found,) = processing.outputs(REQUEST)
    assert found == processing.Output(
        name="o", uri="s3://b/o", path="/opt/ml/processing/o", is_continuous=True
    )


@pytest.mark.parametrize("path", ["/opt/ml/processing/a", "/data", "/data/in/", "/opt/ml/model"])
def test_paths_that_a_program_may_have(path: str) -> None:
    assert processing.fault_of_path(path) == ""


@pytest.mark.parametrize(
    "path", ["", "data", "//data", "/", "/opt/ml", "/opt/ml/", "/tmp", "/etc/x", "/a/../b"]
)
def test_paths_that_would_hide_what_a_program_needs(path: str) -> None:
    assert processing.fault_of_path(path)


def test_the_configuration_files_stand_in_config(tmp_path: Path) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2}
    processing.write(
        tmp_path, REQUEST, arn="arn:x", resources=resources, hosts=("algo-1", "algo-2"), host="algo-2"
    )
    config = json.loads((tmp_path / "config/processingjobconfig.json").read_text())
    assert config["ProcessingJobArn"] == "arn:x"
    assert config["ProcessingInputs"] == REQUEST["ProcessingInputs"]
    found = json.loads((tmp_path / "config/resourceconfig.json").read_text())
    assert (found["current_host"], found["hosts"]) == ("algo-2", ["algo-1", "algo-2"])
