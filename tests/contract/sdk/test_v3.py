"""SageMaker Python SDK v3, unmodified, against a live Clary. What the SDK does is in `programs/v3.py`."""

import pytest

from .conftest import Client

pytestmark = [pytest.mark.sdk_v3]


def test_an_entry_script_with_requirements_trains_on_a_local_folder(sdk3: Client) -> None:
    seen = sdk3("script")
    assert seen["arn"] == seen["same"]
    assert seen["is_listed"]
    assert seen["hyperparameters"]["n-estimators"] == "20"
    assert "train-accuracy=" in seen["logs"]
    assert seen["model"].endswith("/output/model.tar.gz")


def test_a_command_runs_in_the_folder_of_its_source(sdk3: Client) -> None:
    assert sdk3("command") == ["model.joblib", "train.py"]


def test_builders_serve_a_built_in_model_from_its_address_and_its_trainer(sdk3: Client) -> None:
    seen = sdk3("builders_of_a_built_in")
    assert seen["address"] > 0.9
    assert seen["trainer"] == seen["address"]


def test_a_builder_serves_a_script_with_its_own_functions(sdk3: Client) -> None:
    assert sdk3("builder_of_a_script") > 0.9


@pytest.mark.slow
def test_a_remote_function_answers_as_a_local_one(sdk3: Client) -> None:
    remote, local = sdk3("remote_function")
    assert remote == pytest.approx(local)
