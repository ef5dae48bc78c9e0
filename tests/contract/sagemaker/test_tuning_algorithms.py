"""Every built-in algorithm is tuned by the metrics that it declares tunable, on its own examples."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.algorithms import base
from clary.algorithms.base import Algorithm, Example, Metric
from clary.compute import images
from clary.testing.jobs import channel, new_bucket
from clary.testing.tuning import trials_of, tuned, tuning_request
from clary.toolkit.hyperparameters import Categorical, Continuous, Integer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.documented]

SPREAD = 0.9
"""A range is from so much of an example's value up to it: narrow, so that the example stays one."""

PREFERRED = ("ContinuousParameterRanges", "IntegerParameterRanges", "CategoricalParameterRanges")
ANY_RANGE = ("IntegerParameterRanges", {"Name": "epochs", "MinValue": "1", "MaxValue": "2"})


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


def chosen_of(algorithm: Algorithm) -> tuple[Example, tuple[Metric, ...]]:
    """Return the example that shows most tunable metrics, and these."""
    tunable = [metric for metric in algorithm.metrics if metric.is_tunable]
    shown = [
        (example, tuple(metric for metric in tunable if metric.name in example.metrics))
        for example in base.examples(algorithm.name)
    ]
    return max(shown, key=lambda each: len(each[1]))


def ranges_of(algorithm: Algorithm, example: Example) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a range of each tunable hyperparameter that the example can do without."""
    for each in algorithm.hyperparameters:
        if each.tunable is None:
            continue
        text = example.hyperparameters.get(each.name, each.default)
        match each:
            case Categorical(tunable=tuple() as words):
                yield "CategoricalParameterRanges", {"Name": each.name, "Values": list(words)}
            case Continuous() if is_number(text) and float(text) > 0:
                low = repr(SPREAD * float(text))
                yield (
                    "ContinuousParameterRanges",
                    {"Name": each.name, "MinValue": low, "MaxValue": str(text)},
                )
            case Integer() if is_number(text) and float(text) > 1:
                high = int(float(text))
                yield (
                    "IntegerParameterRanges",
                    {"Name": each.name, "MinValue": str(high - 1), "MaxValue": str(high)},
                )


def is_number(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True


@pytest.mark.parametrize("name", base.names())
def test_an_algorithm_is_tuned_by_what_it_declares(account, name):
    algorithm = base.find(name)
    image = next(
        each for each in images.ALGORITHMS if each.removeprefix("forecasting-").replace("-", "_") == name
    )
    if image not in images.runnable():
        pytest.skip(f"{image} does not run here: pip install 'clary[{algorithm.extra}]'")
    example, metrics = chosen_of(algorithm)
    bucket = new_bucket(account)
    for part, rows in example.channels.items():
        account.client("s3").put_object(Bucket=bucket, Key=f"{part}/rows", Body=b"".join(rows))
    ranges = sorted(ranges_of(algorithm, example), key=lambda each: PREFERRED.index(each[0]))
    if not metrics:
        assert not any(metric.is_tunable for metric in algorithm.metrics), f"no example of {name} shows one"
        request = request_of(account, bucket, image, algorithm, example, ANY_RANGE, metrics)
        with pytest.raises(ClientError, match="isn't valid for the"):
            tuned(account, request)
        return
    assert ranges, f"{name} has nothing to tune"
    request = request_of(account, bucket, image, algorithm, example, ranges[0], metrics)
    described = tuned(account, request, limit_s=300)
    trials = trials_of(account, request["HyperParameterTuningJobName"])
    reasons = [each.get("FailureReason") for each in trials]
    assert described["HyperParameterTuningJobStatus"] == "Completed", reasons
    assert described["ObjectiveStatusCounters"] == {"Succeeded": 2, "Pending": 0, "Failed": 0}, reasons
    best = described["BestTrainingJob"]
    assert list(best["TunedHyperParameters"]) == [ranges[0][1]["Name"]]
    shown = account.client("sagemaker").describe_training_job(TrainingJobName=best["TrainingJobName"])
    found = {each["MetricName"] for each in shown["FinalMetricDataList"]}
    assert {metric.name for metric in metrics} <= found


def request_of(account, bucket, image, algorithm, example, chosen, metrics):
    """Return a tuning job of two trials over one range of an example."""
    member, given = chosen
    metric, goal = (metrics[0].name, metrics[0].goal) if metrics else ("test:none", "Minimize")
    request = tuning_request(account, bucket, n=2, metric=metric, goal=goal)
    request["HyperParameterTuningJobConfig"]["ParameterRanges"] = {member: [given]}
    definition = request["TrainingJobDefinition"]
    uri = f"382416733822.dkr.ecr.us-east-1.amazonaws.com/{image}:1"
    definition["AlgorithmSpecification"]["TrainingImage"] = uri
    definition["StaticHyperParameters"] = {
        key: text for key, text in example.hyperparameters.items() if key != given["Name"]
    }
    distributions = {each.name: each.distributions for each in algorithm.channels}
    definition["InputDataConfig"] = [
        channel(
            bucket,
            part,
            content_type=example.content_type,
            S3DataDistributionType=min(distributions[part]),
        )
        for part in example.channels
    ]
    definition["ResourceConfig"]["InstanceType"] = (
        "ml.m5.large" if algorithm.instances.cpu else "ml.p3.2xlarge"
    )
    return request
