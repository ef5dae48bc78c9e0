"""What CreateHyperParameterTuningJob refuses, and by which words."""

import pytest
from botocore.exceptions import ClientError

from clary.testing.tuning import LEVELS, script_definition, training_definition, tuning_request


def ranged(kind, name, *ends, scale=None):
    found = {"Name": name, "MinValue": ends[0], "MaxValue": ends[1]}
    return {f"{kind}ParameterRanges": [found | ({"ScalingType": scale} if scale else {})]}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"metric": "validation:aux"}, r"objective metric, \[validation:aux\], isn't valid for the"),
        ({"metric": "train:auc"}, r"objective metric, \[train:auc\], isn't valid"),
        ({"goal": "Minimize"}, r"objective metric type, \[Minimize\], that you specified"),
        ({"ranges": ranged("Continuous", "etta", "0", "1")}, r"has no hyperparameter \[etta\]"),
        ({"ranges": ranged("Integer", "num_class", "2", "5")}, r"\[num_class\], isn't tunable"),
        ({"ranges": ranged("Continuous", "eta", "0.1", "1.5")}, r"eta: value 1.5 not in range \[0, 1\]"),
        ({"ranges": ranged("Continuous", "max_depth", "1", "5")}, r"\[max_depth\] .* is of type Integer"),
        ({"ranges": ranged("Integer", "max_depth", "1.5", "5")}, "'1.5' is not an integer"),
        ({"ranges": ranged("Continuous", "eta", "0.5", "0.1")}, "MinValue must be less than MaxValue"),
        (
            {"ranges": ranged("Continuous", "eta", "0", "1", scale="Logarithmic")},
            "only for ranges that have only values greater than 0",
        ),
        (
            {"ranges": ranged("Continuous", "eta", "0", "1", scale="ReverseLogarithmic")},
            "entirely within the range 0<=x<1.0",
        ),
        (
            {"ranges": ranged("Integer", "max_depth", "0", "5", scale="ReverseLogarithmic")},
            "only for ContinuousParameterRanges",
        ),
        ({"ranges": ranged("Integer", "num_round", "1", "5")}, r"\[num_round\] is in StaticHyperParameters"),
        ({"ranges": {}}, "must have at least one range"),
        ({"strategy": "Grid"}, "grid search only supports CategoricalParameterRanges"),
        ({"ranges": ranged("Integer", "max_depth", "1", "2")}, "You don't have enough combinations"),
        ({"n": None}, "MaxNumberOfTrainingJobs or MaxRuntimeInSeconds"),
        ({"parallel": 5}, "MaxParallelTrainingJobs 5 must not be greater"),
        ({"strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Auto"}, "must be Off with Strategy"),
        (
            {"StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 9}}},
            "only allowed with Strategy Hyperband",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_tuned_is_refused_by_name(place, changes, text):
    account, bucket = place
    request = tuning_request(account, bucket, **changes)
    with pytest.raises(ClientError, match=text) as caught:
        account.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_static_values_and_metrics_of_scripts_are_checked_too(place):
    account, bucket = place
    client = account.client("sagemaker")
    for static, text in (
        ({"num_round": "0"}, "num_round: value 0 not in range"),
        ({"num_rounds": "5"}, r"has no hyperparameter \[num_rounds\]"),
        ({"objective": "binary:logistic"}, "requires num_round"),
    ):
        definition = training_definition(account, bucket, static=static)
        with pytest.raises(ClientError, match=text):
            client.create_hyper_parameter_tuning_job(**tuning_request(account, bucket, definition=definition))
    definition = script_definition(account, bucket)
    with pytest.raises(
        ClientError, match="A metric is required for this hyperparameter tuning job objective"
    ):
        client.create_hyper_parameter_tuning_job(
            **tuning_request(account, bucket, definition=definition, metric="accuracy", ranges=LEVELS)
        )


@pytest.mark.inferred
def test_what_typed_estimators_send_along_is_no_unknown_hyperparameter(place):
    account, bucket = place
    client = account.client("sagemaker")
    definition = training_definition(account, bucket, static={"feature_dim": "4", "k": "2"})
    specification = definition["AlgorithmSpecification"]
    specification["TrainingImage"] = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"
    definition["InputDataConfig"] = definition["InputDataConfig"][:1]
    request = tuning_request(
        account,
        bucket,
        definition=definition,
        metric="test:msd",
        goal="Minimize",
        ranges=ranged("Integer", "epochs", "1", "9"),
    )
    static = request["TrainingJobDefinition"]["StaticHyperParameters"]
    with pytest.raises(ClientError, match=r"has no hyperparameter \[force_dens\]"):
        client.create_hyper_parameter_tuning_job(
            **request
            | {
                "TrainingJobDefinition": definition
                | {"StaticHyperParameters": static | {"force_dens": "True"}}
            }
        )
    static["force_dense"] = "True"
    client.create_hyper_parameter_tuning_job(**request)
    client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=request["HyperParameterTuningJobName"])
