"""The configuration files of a training host."""

import json
from pathlib import Path

import pytest

from clary.toolkit import contract
from clary.toolkit.channels import Channel

REQUEST = {
    "TrainingJobName": "job",
    "HyperParameters": {"n": "5", "s": '"quoted"'},
    "AlgorithmSpecification": {
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "m", "Regex": "m=(.*)"}],
    },
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
}


def written(ml: Path, name: str) -> object:
    return json.loads((ml / "input/config" / f"{name}.json").read_text())


def test_the_files_are_those_of_the_service(tmp_path: Path) -> None:
    channels = [
        Channel(name="train", uri="s3://b/train", content_type="text/csv"),
        Channel(name="val", uri="s3://b/val", input_mode="Pipe", record_wrapper="RecordIO"),
    ]
    hosts = ("algo-1", "algo-2")
    contract.write(tmp_path, REQUEST, channels, hosts=hosts, host="algo-2")
    assert written(tmp_path, "hyperparameters") == {"n": "5", "s": '"quoted"'}
    assert written(tmp_path, "resourceconfig") == {
        "current_host": "algo-2",
        "current_instance_type": "ml.m5.large",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1", "algo-2"],
        "network_interface_name": "eth0",
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": "ml.m5.large",
                "hosts": ["algo-1", "algo-2"],
            }
        ],
    }
    assert written(tmp_path, "inputdataconfig") == {
        "train": {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            "ContentType": "text/csv",
        },
        "val": {
            "TrainingInputMode": "Pipe",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "RecordIO",
        },
    }
    assert written(tmp_path, "metric-definition-regex") == [{"Name": "m", "Regex": "m=(.*)"}]
    assert not (tmp_path / "input/config/checkpointconfig.json").exists()
    for folder in ("model", "output/data", "output/intermediate", "code", "input/data"):
        assert (tmp_path / folder).is_dir()


def test_instance_groups_share_out_the_hosts(tmp_path: Path) -> None:
    resources = {
        "InstanceGroups": [
            {"InstanceGroupName": "data", "InstanceType": "ml.c5.large", "InstanceCount": 1},
            {"InstanceGroupName": "fit", "InstanceType": "ml.m5.large", "InstanceCount": 2},
        ]
    }
    config = contract.resource_config(resources, ("algo-1", "algo-2", "algo-3"), "algo-3")
    assert config["current_group_name"] == "fit"
    assert config["current_instance_type"] == "ml.m5.large"
    assert [group["hosts"] for group in config["instance_groups"]] == [["algo-1"], ["algo-2", "algo-3"]]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, ""),
        ({"S3Uri": "s3://b/c"}, "/opt/ml/checkpoints"),
        ({"S3Uri": "s3://b/c", "LocalPath": "/data/keep"}, "/data/keep"),
    ],
)
def test_checkpoints_lie_where_the_request_says(tmp_path: Path, config: dict[str, str], path: str) -> None:
    request = {**REQUEST, "CheckpointConfig": config}
    assert contract.checkpoint_path(request) == path
    contract.write(tmp_path, request, [], hosts=("algo-1",), host="algo-1")
    if path:
        assert written(tmp_path, "checkpointconfig") == {"LocalPath": path}
