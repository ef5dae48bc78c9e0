"""HyperParameterTuningJob through boto3 against a live server: real trainings of XGBoost and of scripts."""

import time
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import ScriptJob, upload_csv
from clary.testing.tuning import (
    LEVELS,
    RANGES,
    script_definition,
    training_definition,
    trials_of,
    tuned,
    tuning_request,
    wait_for_tuning,
)


@pytest.fixture(scope="module")
def finished(place):
    """Return a finished Bayesian job of six trials."""
    account, bucket = place
    request = tuning_request(account, bucket, strategy="Bayesian", n=6, RandomSeed=7)
    request["Tags"] = [{"Key": "team", "Value": "fraud"}]
    request["TrainingJobDefinition"]["CheckpointConfig"] = {"S3Uri": f"s3://{bucket}/checkpoints/"}
    return account, bucket, request, tuned(account, request)


def test_a_bayesian_job_says_everything_the_sdks_index(finished):
    _account, _bucket, request, described = finished
    assert described["HyperParameterTuningJobStatus"] == "Completed", described.get("FailureReason")
    assert described["TrainingJobStatusCounters"] == {
        "Completed": 6,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert described["ObjectiveStatusCounters"] == {"Succeeded": 6, "Pending": 0, "Failed": 0}
    best = described["BestTrainingJob"]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["MetricName"] == "validation:auc"
    assert set(best["TunedHyperParameters"]) == {"eta", "max_depth"}
    assert described["ConsumedResources"]["RuntimeInSeconds"] >= 1
    assert "NumberOfTrainingJobsObjectiveNotImproving" in described["TuningJobCompletionDetails"]
    assert described["HyperParameterTuningJobConfig"]["ParameterRanges"] == RANGES
    names = {
        each["Name"]
        for each in described["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    }
    assert "validation:auc" in names
    assert described["HyperParameterTuningEndTime"] >= described["CreationTime"]
    assert request["TrainingJobDefinition"]["StaticHyperParameters"].items() <= (
        described["TrainingJobDefinition"]["StaticHyperParameters"].items()
    )


def test_trials_are_ordinary_training_jobs_with_the_tags_and_the_tuned_values(finished):
    account, bucket, request, described = finished
    client = account.client("sagemaker")
    name = request["HyperParameterTuningJobName"]
    trials = trials_of(account, name)
    assert [each["TrainingJobName"].split("-")[-2] for each in trials] == [f"{n:03d}" for n in range(1, 7)]
    for each in trials:
        assert each["TrainingJobName"].startswith(f"{name}-")
        job = client.describe_training_job(TrainingJobName=each["TrainingJobName"])
        assert job["TuningJobArn"] == described["HyperParameterTuningJobArn"]
        assert each["TunedHyperParameters"].items() <= job["HyperParameters"].items()
        assert job["HyperParameters"]["_tuning_objective_metric"] == "validation:auc"
        checkpoints = f"s3://{bucket}/checkpoints/{each['TrainingJobName']}"  # none goes on from another's
        assert job["CheckpointConfig"]["S3Uri"] == checkpoints
        final = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
        value = each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        assert final["validation:auc"] == final["ObjectiveMetric"] == pytest.approx(value)
        assert client.list_tags(ResourceArn=each["TrainingJobArn"])["Tags"] == request["Tags"]
    listed = client.list_training_jobs(NameContains=name, MaxResults=100)["TrainingJobSummaries"]
    assert {each["TrainingJobName"] for each in listed} == {each["TrainingJobName"] for each in trials}


def test_trials_are_sorted_by_objective_and_paged(finished):
    account, _bucket, request, described = finished
    name = request["HyperParameterTuningJobName"]
    query = {"SortBy": "FinalObjectiveMetricValue", "PaginationConfig": {"PageSize": 2}}
    rising = trials_of(account, name, **query)
    values = [each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in rising]
    assert len(values) == 6
    assert values == sorted(values)
    falling = trials_of(account, name, SortOrder="Descending", **query)
    best = falling[0]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert best == described["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert len(trials_of(account, name, StatusEquals="Completed")) == 6
    assert trials_of(account, name, StatusEquals="Failed") == []


def test_jobs_are_listed_searched_and_tagged(finished):
    account, _bucket, request, described = finished
    client, name = account.client("sagemaker"), request["HyperParameterTuningJobName"]
    [summary] = client.list_hyper_parameter_tuning_jobs(NameContains=name)["HyperParameterTuningJobSummaries"]
    assert summary["Strategy"] == "Bayesian"
    assert summary["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 6
    assert summary["TrainingJobStatusCounters"]["Completed"] == 6
    filters = [{"Name": "HyperParameterTuningJobConfig.Strategy", "Operator": "Equals", "Value": "Bayesian"}]
    found = client.search(Resource="HyperParameterTuningJob", SearchExpression={"Filters": filters})[
        "Results"
    ]
    assert name in {each["HyperParameterTuningJob"]["HyperParameterTuningJobName"] for each in found}
    arn = described["HyperParameterTuningJobArn"]
    assert client.list_tags(ResourceArn=arn)["Tags"] == request["Tags"]


@pytest.mark.documented
def test_the_same_seed_gives_the_same_trials(finished):
    account, _bucket, request, described = finished
    name = request["HyperParameterTuningJobName"].replace("tune-", "again-")
    again = {**request, "HyperParameterTuningJobName": name}
    repeated = tuned(account, again)
    pairs = [
        [each["TunedHyperParameters"] for each in trials_of(account, job["HyperParameterTuningJobName"])]
        for job in (request, again)
    ]
    assert pairs[0] == pairs[1]
    metric = "FinalHyperParameterTuningJobObjectiveMetric"
    assert repeated["BestTrainingJob"][metric] == described["BestTrainingJob"][metric]


def test_a_warm_start_learns_from_its_parent_and_knows_the_best_of_both(finished):
    account, bucket, request, described = finished
    child = tuning_request(account, bucket, strategy="Bayesian", n=2)
    child["WarmStartConfig"] = {
        "ParentHyperParameterTuningJobs": [
            {"HyperParameterTuningJobName": request["HyperParameterTuningJobName"]}
        ],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    ended = tuned(account, child)
    metric = "FinalHyperParameterTuningJobObjectiveMetric"
    values = [each[metric]["Value"] for each in (described["BestTrainingJob"], ended["BestTrainingJob"])]
    assert ended["OverallBestTrainingJob"][metric]["Value"] == max(values)
    child["HyperParameterTuningJobName"] += "-x"
    child["TrainingJobDefinition"] = training_definition(account, bucket, static={"num_round": "5"})
    with pytest.raises(ClientError, match="total number of static plus tunable hyperparameters must remain"):
        account.client("sagemaker").create_hyper_parameter_tuning_job(**child)


def test_a_grid_needs_no_number_and_tries_every_combination_once(place):
    account, bucket = place
    ranges = {
        "CategoricalParameterRanges": [
            {"Name": "booster", "Values": ["gbtree", "dart"]},
            {"Name": "grow_policy", "Values": ["depthwise", "lossguide"]},
        ]
    }
    definition = script_definition(account, bucket, epochs="1", pause="0", level="1")
    request = tuning_request(
        account,
        bucket,
        strategy="Grid",
        n=None,
        ranges=ranges,
        definition=definition,
        metric="loss",
        goal="Minimize",
    )
    described = tuned(account, request)
    assert described["HyperParameterTuningJobStatus"] == "Completed", described.get("FailureReason")
    tried = [
        tuple(each["TunedHyperParameters"].values())
        for each in trials_of(account, request["HyperParameterTuningJobName"])
    ]
    assert len(tried) == len(set(tried)) == 4
    assert described["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 4


def test_hyperband_ends_trials_that_lag_behind(place):
    account, bucket = place
    definition = script_definition(account, bucket, epochs="27", pause="0.15")
    request = tuning_request(
        account,
        bucket,
        strategy="Hyperband",
        n=6,
        ranges=LEVELS,
        definition=definition,
        metric="loss",
        goal="Minimize",
        RandomSeed=3,
    )
    described = tuned(account, request)
    assert described["HyperParameterTuningJobStatus"] == "Completed", described.get("FailureReason")
    counters = described["TrainingJobStatusCounters"]
    assert counters["Stopped"] >= 2
    assert described["ObjectiveStatusCounters"]["Succeeded"] == 6
    rows = trials_of(account, request["HyperParameterTuningJobName"])
    least = min(float(each["TunedHyperParameters"]["level"]) for each in rows)
    assert float(described["BestTrainingJob"]["TunedHyperParameters"]["level"]) == least


def test_early_stopping_ends_a_trial_below_the_median(place):
    account, bucket = place
    definition = script_definition(account, bucket, epochs="6", pause="0.15")
    request = tuning_request(
        account,
        bucket,
        strategy="Grid",
        n=None,
        parallel=1,
        ranges={"CategoricalParameterRanges": [{"Name": "level", "Values": ["1", "2", "3", "4", "9", "8"]}]},
        definition=definition,
        metric="loss",
        goal="Minimize",
        TrainingJobEarlyStoppingType="Auto",
        RandomSeed=0,
    )
    described = tuned(account, request)
    assert described["HyperParameterTuningJobStatus"] == "Completed", described.get("FailureReason")
    assert 1 <= described["TrainingJobStatusCounters"]["Stopped"] <= 3
    assert described["BestTrainingJob"]["TunedHyperParameters"] == {"level": "1"}


def test_a_stopped_job_keeps_the_best_so_far(place):
    account, bucket = place

    def has_spoken(trial):
        return bool(ScriptJob(account, bucket, trial["TrainingJobName"]).lines())

    client = account.client("sagemaker")
    definition = script_definition(account, bucket, epochs="2000", pause="0.05")
    request = tuning_request(
        account, bucket, n=4, ranges=LEVELS, definition=definition, metric="loss", goal="Minimize"
    )
    name = request["HyperParameterTuningJobName"]
    client.create_hyper_parameter_tuning_job(**request)
    deadline = time.monotonic() + 60
    while sum(map(has_spoken, trials_of(account, name))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with pytest.raises(ClientError, match="can only be deleted in"):
        client.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    live = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert live["TrainingJobStatusCounters"]["InProgress"] == 2
    client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    described = wait_for_tuning(account, name)
    assert described["HyperParameterTuningJobStatus"] == "Stopped"
    assert described["TrainingJobStatusCounters"]["Stopped"] == 2
    assert described["BestTrainingJob"]["TrainingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="is in status Stopped"):
        client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    client.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        trials_of(account, name)
    assert client.describe_training_job(TrainingJobName=described["BestTrainingJob"]["TrainingJobName"])


def test_a_job_whose_trials_all_fail_says_so(place):
    account, bucket = place
    definition = script_definition(account, bucket, "raise SystemExit('the box is empty')")
    request = tuning_request(
        account, bucket, n=2, ranges=LEVELS, definition=definition, metric="loss", goal="Minimize"
    )
    described = tuned(account, request)
    assert described["HyperParameterTuningJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("All training jobs failed.")
    assert described["TrainingJobStatusCounters"]["NonRetryableError"] == 2
    assert described["ObjectiveStatusCounters"]["Failed"] == 2
    assert "BestTrainingJob" not in described
    assert (
        "the box is empty" in trials_of(account, request["HyperParameterTuningJobName"])[0]["FailureReason"]
    )


def test_the_target_and_no_improvement_end_a_job_before_its_number(place):
    account, bucket = place
    definition = script_definition(account, bucket, epochs="1", pause="0")
    common: dict[str, Any] = {
        "ranges": LEVELS,
        "definition": definition,
        "metric": "loss",
        "goal": "Minimize",
        "n": 8,
        "parallel": 1,
    }
    target = tuning_request(
        account, bucket, TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 9.5}, **common
    )
    described = tuned(account, target)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"]["Completed"] <= 2
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    flat = training_definition(account, bucket) | script_definition(
        account, bucket, "print('loss=1.0')", epochs="1", pause="0"
    )
    described = tuned(
        account,
        tuning_request(
            account, bucket, TuningJobCompletionCriteria=criteria, **common | {"definition": flat}
        ),
    )
    assert described["TrainingJobStatusCounters"]["Completed"] == 4
    assert described["TuningJobCompletionDetails"]["NumberOfTrainingJobsObjectiveNotImproving"] == 3


def test_several_definitions_take_turns(place):
    account, bucket = place
    objective = {"Type": "Maximize", "MetricName": "validation:auc"}
    request = tuning_request(account, bucket, n=4)
    del request["TrainingJobDefinition"]
    for member in ("HyperParameterTuningJobObjective", "ParameterRanges"):
        del request["HyperParameterTuningJobConfig"][member]
    request["TrainingJobDefinitions"] = [
        training_definition(
            account, bucket, DefinitionName=name, TuningObjective=objective, HyperParameterRanges=ranges
        )
        for name, ranges in (
            ("deep", {"IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "5", "MaxValue": "9"}]}),
            ("slow", {"ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.01", "MaxValue": "0.1"}]}),
        )
    ]
    described = tuned(account, request)
    assert described["HyperParameterTuningJobStatus"] == "Completed", described.get("FailureReason")
    rows = trials_of(account, request["HyperParameterTuningJobName"])
    assert [each["TrainingJobDefinitionName"] for each in rows] == ["deep", "slow", "deep", "slow"]
    assert [sorted(each["TunedHyperParameters"]) for each in rows] == [["max_depth"], ["eta"]] * 2
    assert [each["DefinitionName"] for each in described["TrainingJobDefinitions"]] == ["deep", "slow"]


def test_autotune_finds_ranges_for_hints(place):
    account, bucket = place
    hints = {"AutoParameters": [{"Name": "eta", "ValueHint": "0.3"}, {"Name": "max_depth", "ValueHint": "6"}]}
    request = tuning_request(account, bucket, n=2, ranges=hints)
    with pytest.raises(ClientError, match="AutoParameters needs Autotune"):
        account.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    request["Autotune"] = {"Mode": "Enabled"}
    described = tuned(account, request)
    assert described["HyperParameterTuningJobStatus"] == "Completed", described.get("FailureReason")
    assert set(described["BestTrainingJob"]["TunedHyperParameters"]) == {"eta", "max_depth"}
    assert described["Autotune"] == {"Mode": "Enabled"}


def test_a_name_is_taken_once_and_a_missing_job_is_not_found(finished):
    account, _bucket, request, _described = finished
    client = account.client("sagemaker")
    with pytest.raises(ClientError) as caught:
        client.create_hyper_parameter_tuning_job(**request)
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    with pytest.raises(ClientError) as caught:
        client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="nobody")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


READER = """
import os
print("content=" + open(os.environ["SM_CHANNEL_TRAIN"] + "/level.txt").read() + ";", flush=True)
with open(os.environ["SM_CHANNEL_TRAIN"] + "/level.txt", "w") as file:
    file.write("9")
"""


def test_a_changed_object_is_read_anew_and_no_trial_spoils_another(place):
    account, _bucket = place
    s3, bucket = account.client("s3"), upload_csv(account, "validation/none.csv", np.zeros((1, 1)))
    for content in ("1", "2"):
        s3.put_object(Bucket=bucket, Key="train/level.txt", Body=content.encode())
        definition = script_definition(account, bucket, READER)
        metrics = [{"Name": "content", "Regex": "content=([0-9]+);"}]
        definition["AlgorithmSpecification"] |= {"MetricDefinitions": metrics}
        request = tuning_request(
            account, bucket, n=3, parallel=1, ranges=LEVELS, definition=definition, metric="content"
        )
        described = tuned(account, request)
        assert described["HyperParameterTuningJobStatus"] == "Completed", described.get("FailureReason")
        rows = trials_of(account, request["HyperParameterTuningJobName"])
        metric = "FinalHyperParameterTuningJobObjectiveMetric"
        assert [each[metric]["Value"] for each in rows] == [float(content)] * 3
