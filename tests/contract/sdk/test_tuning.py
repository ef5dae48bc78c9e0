"""`HyperparameterTuner` of both SDKs, unmodified; see `programs/tuning_v2.py` and `tuning_v3.py`."""

from collections.abc import Iterator

import pytest

from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of


@pytest.fixture(scope="module")
def tuning2(clary_server: ClaryServer) -> Iterator[Client]:
    """Yield SDK v2, of an account of its own."""
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "tuning_v2")


@pytest.fixture(scope="module")
def tuning3(clary_server: ClaryServer) -> Iterator[Client]:
    """Yield SDK v3, of an account of its own."""
    yield from client(clary_server.env(clary_server.account()), python_of("sdk3"), "tuning_v3")


def test_a_built_in_algorithm_is_tuned_from_fit_to_deploy_and_starts_others(tuning2: Client) -> None:
    seen = tuning2("built_in")
    assert seen["status"] == "Completed"
    assert seen["n"] == 5
    assert {"FinalObjectiveValue", "TrainingElapsedTimeSeconds", "eta", "max_depth"} <= set(seen["columns"])
    assert seen["best"] == pytest.approx(seen["best_of_table"])
    assert seen["ranges"] == ["eta", "max_depth", "min_child_weight"]
    assert seen["best_name"] == seen["best_estimator"] == seen["best_of_attached"]
    assert {"eta", "max_depth", "num_round"} <= set(seen["hyperparameters"])
    assert seen["accuracy"] > 0.85
    assert tuning2("warm_starts", seen["name"]) == [
        ["Completed", "IdenticalDataAndAlgorithm", True],
        ["Completed", "TransferLearning", False],
        ["Completed", "TransferLearning", False],
    ]


def test_a_script_is_tuned_by_what_it_prints_until_the_target(tuning2: Client) -> None:
    seen = tuning2("script")
    assert seen["status"] == "Completed", seen["reason"]
    assert seen["n"] < 6
    assert seen["class"] == "SKLearn"
    assert seen["criterion"] in {"gini", "entropy"}


def test_several_estimators_share_one_job(tuning2: Client) -> None:
    seen = tuning2("several_estimators")
    assert seen["status"] == "Completed"
    assert seen["definitions"] == seen["ranges"] == ["deep", "wide"]
    assert seen["best"] == seen["best_name"]


def test_a_tuner_is_stopped(tuning2: Client) -> None:
    assert tuning2("stopped") == ["Stopped", 2]


@pytest.mark.sdk_v3
def test_version_3_tunes_a_script_and_a_built_in_algorithm(tuning3: Client) -> None:
    seen = tuning3("built_in")
    assert seen["status"] == "Completed"
    assert seen["n"] == 4
    assert seen["best_name"] == seen["best_of_table"]
    seen = tuning3("script")
    assert seen["status"] == "Completed", seen["reason"]
    assert seen["best"] > 0.8


@pytest.mark.sdk_v3
@pytest.mark.slow
def test_version_3_starts_from_a_parent_and_stops(tuning3: Client) -> None:
    assert tuning3("more", tuning3("built_in")["name"]) == {
        "statuses": ["Completed", "Stopped"],
        "kind": "TransferLearning",
        "described": "Completed",
    }
