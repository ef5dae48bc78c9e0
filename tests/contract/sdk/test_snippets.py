"""The programs that the console shows make, through the unmodified SDK, the jobs that they were made of."""

from collections.abc import Iterator
from typing import Any

import pytest

from clary.console import sdk
from clary.testing.jobs import SCIKIT_LEARN, XGBOOST
from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of

pytestmark = pytest.mark.slow
ROLE = "arn:aws:iam::123456789012:role/SageMakerRole"
TYPE = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
DATA = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/train/", "S3DataDistributionType": "ShardedByS3Key"}
TRAINING: dict[str, Any] = {
    "RoleArn": ROLE,
    "AlgorithmSpecification": {"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
    "InputDataConfig": [
        {"ChannelName": "train", "DataSource": {"S3DataSource": DATA}, "ContentType": "text/csv"}
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
    "ResourceConfig": {**TYPE, "VolumeSizeInGB": 10},
    "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 900},
    "EnableManagedSpotTraining": True,
    "CheckpointConfig": {"S3Uri": "s3://b/checkpoints"},
}
VALUES = {"num_round": "10", "objective": "binary:logistic", "note": 'it\'s "so"'}
SCRIPT = {
    "sagemaker_program": '"train.py"',
    "sagemaker_submit_directory": '"s3://b/source/sourcedir.tar.gz"',
    "depth": "3",
    "kind": '"tall"',
}
PROCESSING = {
    "RoleArn": ROLE,
    "AppSpecification": {
        "ImageUri": SCIKIT_LEARN,
        "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/main.py"],
        "ContainerArguments": ["--rows", "2 or 3"],
    },
    "ProcessingInputs": [
        {
            "InputName": "code",
            "S3Input": {
                "S3Uri": "s3://b/main.py",
                "LocalPath": "/opt/ml/processing/input/code",
                "S3DataType": "S3Prefix",
                "S3InputMode": "File",
                "S3DataDistributionType": "FullyReplicated",
            },
        }
    ],
    "ProcessingOutputConfig": {
        "Outputs": [
            {
                "OutputName": "rows",
                "S3Output": {
                    "S3Uri": "s3://b/rows/",
                    "LocalPath": "/opt/ml/processing/output",
                    "S3UploadMode": "Continuous",
                },
            }
        ]
    },
    "ProcessingResources": {"ClusterConfig": {**TYPE, "VolumeSizeInGB": 30}},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "Environment": {"A": "b"},
}
TRANSFORM = {
    "ModelName": "churn",
    "BatchStrategy": "MultiRecord",
    "MaxPayloadInMB": 6,
    "TransformInput": {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/rows/"}},
        "ContentType": "text/csv",
        "SplitType": "Line",
    },
    "TransformOutput": {"S3OutputPath": "s3://b/out/", "Accept": "text/csv", "AssembleWith": "Line"},
    "TransformResources": TYPE,
    "DataProcessing": {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
}
TUNING = {
    "HyperParameterTuningJobConfig": {
        "Strategy": "Random",
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "validation:logloss"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 5, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": {
            "ContinuousParameterRanges": [
                {"Name": "eta", "MinValue": "0.01", "MaxValue": "0.3", "ScalingType": "Logarithmic"}
            ],
            "IntegerParameterRanges": [
                {"Name": "max_depth", "MinValue": "2", "MaxValue": "9", "ScalingType": "Auto"}
            ],
            "CategoricalParameterRanges": [{"Name": "booster", "Values": ["gbtree", "dart"]}],
        },
        "TrainingJobEarlyStoppingType": "Auto",
    },
    "TrainingJobDefinition": {
        **{name: value for name, value in TRAINING.items() if name != "ResourceConfig"},
        "HyperParameterTuningResourceConfig": TRAINING["ResourceConfig"],
        "StaticHyperParameters": VALUES,
    },
}


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_snippets")


def only(asked: Any, seen: Any) -> Any:
    """Return what was sent, without the members that nobody asked for."""
    if isinstance(asked, dict):
        return {name: only(value, (seen or {}).get(name)) for name, value in asked.items()}
    if isinstance(asked, list) and len(asked) == len(seen):
        return [only(*each) for each in zip(asked, seen, strict=True)]
    return seen


def test_each_program_sends_the_request_that_it_shows(v2: Client) -> None:
    requests = {
        "TrainingJob": {**TRAINING, "HyperParameters": VALUES},
        "ProcessingJob": PROCESSING,
        "TransformJob": TRANSFORM,
        "HyperParameterTuningJob": TUNING,
    }
    programs = [sdk.program(noun, each) for noun, each in requests.items()]
    script = sdk.program("TrainingJob", {**TRAINING, "HyperParameters": SCRIPT})
    *sent, ran = v2("requests", [*programs, script])
    for asked, seen in zip(requests.values(), sent, strict=True):
        assert only(asked, seen) == asked
    kept = {name: value for name, value in ran["HyperParameters"].items() if name in SCRIPT}
    assert kept == SCRIPT
