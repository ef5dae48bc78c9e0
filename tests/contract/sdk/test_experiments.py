"""Experiments and lineage of SageMaker Python SDK v2, unmodified, against a live Clary."""

from collections.abc import Iterator
from typing import Any

import pytest

from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of, server_with_runtime


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_experiments")


@pytest.fixture(scope="module")
def seen(v2: Client) -> Any:
    """Two runs, logged once, and what was read of them."""
    return v2("runs")


def test_runs_log_everything_and_are_read_back(seen: Any) -> None:
    assert seen["parameters"] == {
        "lr": {"NumberValue": 0.1},
        "depth": {"NumberValue": 6.0},
        "kind": {"StringValue": "tree"},
    }
    (loss,) = seen["metrics"]
    assert (loss["Count"], loss["Min"], loss["Max"], loss["Last"]) == (4, 0.25, 1.0, 0.25)
    assert seen["status"] == "Completed"
    assert seen["inputs"] == {"data": {"Value": "s3://somewhere/data"}}
    assert seen["note"] == "hello"
    assert seen["graphs"] == ["ConfusionMatrix", "PrecisionRecallCurve", "ROCCurve"]
    assert sorted(seen["runs"]) == ["first", "second"]


def test_analytics_are_a_table_of_runs_sorted_by_a_metric(seen: Any) -> None:
    assert seen["names"] == ["my-exp-first", "my-exp-second"]
    assert {"lr", "depth", "loss - Min", "loss - StdDev", "data - Value", "Trials"} <= set(seen["columns"])
    assert seen["rates"] == [0.1, 0.2]
    assert seen["lasts"] == [0.25, 0.5]


def test_the_lineage_classes_find_what_a_job_and_an_endpoint_left(v2: Client) -> None:
    seen = v2("lineage")
    assert seen["data"] == [seen["uri"]]
    assert seen["datasets"] == [seen["uri"]]
    (job_arn,) = seen["jobs"]
    assert job_arn.endswith(f"training-job/{seen['job']}")
    assert seen["contexts"] == [seen["name"]]
    assert seen["endpoints"] == [seen["context"]]
    assert seen["produced"] == ["Produced"]
    assert seen["n_edges"] >= 5
    assert [each["SourceArn"] for each in seen["component"]] == [job_arn]
    component = f"{seen['job']}-aws-training-job"
    assert component in seen["in_trial"]
    assert seen["models"] == seen["models_v2"] == seen["trained_models"] == [seen["made"]]
    assert seen["endpoint_datasets"] == seen["component_datasets"] == [seen["uri"]]
    assert seen["endpoint_jobs"] == [job_arn]
    assert seen["endpoint_components"] == [component]
    assert seen["none"] == [[], [], None]
    assert seen["action"] == "ModelDeployment"
    assert {seen["model_uri"], seen["uri"]} <= set(seen["action_artifacts"])
    assert seen["dataset_contexts"] == [seen["name"]]
    assert seen["upstream"] == [seen["data_arn"]]  # where a query starts is in its answer
    assert seen["component_models"] == [seen["model_uri"]]
    assert seen["to_endpoint"] == ["Input ModelDeployment"]
    assert seen["of_job"] == ["Input DataSet", "Input Image", "Output Model"]
    assert set(seen["deployment_down"]) == {seen["deployment"], seen["context"]}


@pytest.mark.slow
def test_an_experiment_is_deleted_with_all_that_is_in_it(v2: Client) -> None:
    assert v2("cascade") == []


@pytest.fixture
def v2_inside() -> Iterator[Client]:
    """Yield SDK v2 against a Clary whose scripts have the SDK, too."""
    python = python_of("sdk2")
    for server in server_with_runtime(python):
        yield from client(server.env(server.account()), python, "v2_experiments")


def test_a_script_logs_to_the_run_that_started_its_job(v2_inside: Client) -> None:
    seen = v2_inside("inside")
    assert {name: each["NumberValue"] for name, each in seen["parameters"].items()} == {
        "inside": 7,
        "outside": 1,
    }
    assert [(each["MetricName"], each["Count"], each["Last"]) for each in seen["metrics"]] == [
        ("reached", 3, 2)
    ]
