"""SageMaker Python SDK v2, unmodified, against a live Clary. What the SDK does is in `programs/v2.py`."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.compute import images
from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of, server_with_runtime

INSTALLING = "Requirement already satisfied"


def test_the_session_knows_its_role_and_bucket_and_carries_files(sdk2: Client) -> None:
    seen = sdk2("who_and_where")
    assert seen["role"].startswith(f"arn:aws:iam::{seen['account']}:role/")
    assert seen["bucket"] == f"sagemaker-us-east-1-{seen['account']}"
    assert seen["uri"] == f"s3://{seen['bucket']}/round"
    assert seen["back"] == {"a.txt": "one", "deeper/b.txt": "two"}
    assert seen["keys"] == ["round/a.txt", "round/deeper/b.txt"]
    assert seen["text"] == "one"


def test_every_xgboost_image_that_the_sdk_knows_is_known_here(sdk2: Client) -> None:
    found = sdk2("xgboost_images")
    assert {"1", "latest", "0.90-1", "1.0-1", "1.2-2", "1.3-1", "1.5-1", "1.7-1"} <= set(found)
    for version, uri in found.items():
        assert images.resolve(uri).name == "xgboost", version


@pytest.mark.parametrize("version", ["1.7-1", pytest.param("latest", marks=pytest.mark.slow)])
def test_built_in_xgboost_from_fit_to_delete(sdk2: Client, version: str) -> None:
    seen = sdk2("built_in_xgboost", version)
    assert seen["model"] == seen["expected_model"]
    assert "Training job completed" in seen["logs"]
    assert "[19]#011train-auc" in seen["logs"] or "[19]\ttrain-auc" in seen["logs"]
    assert {"train:auc", "validation:auc"} <= set(seen["metrics"])
    assert seen["last_auc"] > 0.9
    assert seen["accuracy"] > 0.9
    assert seen["was_updated"]
    assert seen["instances"] == 2
    assert seen["n_again"] == 3
    assert (seen["left"], seen["models_left"], seen["configs_left"]) == ([], [], [])


def test_an_xgboost_script_trains_and_serves(sdk2: Client) -> None:
    seen = sdk2("xgboost_script")
    assert seen["accuracy"] > 0.9
    assert "train-logloss" in seen["logs"]


@pytest.fixture
def fresh_sdk2(clary_server: ClaryServer) -> Iterator[Client]:
    """Yield SDK v2 of an account in which nothing is installed yet, whatever ran before."""
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2")


def test_a_scikit_learn_script_gets_all_it_was_sent_and_serves(fresh_sdk2: Client) -> None:
    seen = fresh_sdk2("sklearn_script")
    given = seen["given"]
    assert given["arguments"] == {
        "text": "two words",
        "whole": "3",
        "part": "0.25",
        "flag": "True",
        "list": "[1, 'two', 3.0]",
        "map": "a={'b': [None, False]}",
        "nothing": "",
    }
    assert given["SM_HPS"] == {
        "text": "two words",
        "whole": 3,
        "part": 0.25,
        "flag": True,
        "list": [1, "two", 3.0],
        "map": {"a": {"b": [None, False]}},
        "nothing": None,
    }
    assert given["COLOUR"] == "light blue"
    assert given["toolbox"] == "beside the script"
    assert {"train.py", "requirements.txt", "toolbox"} <= set(given["files"])
    assert seen["metrics"] == "accuracy"
    assert INSTALLING in seen["first"]
    assert "accuracy=" in seen["second"]
    assert INSTALLING not in seen["second"], "requirements are installed once"
    assert seen["attached"].rsplit("/", 3)[0] == seen["model"].rsplit("/", 3)[0]

    answers = fresh_sdk2("sklearn_models", seen["model"])
    functions = answers["functions"]
    assert functions["json"]["by"] == "output_fn"
    assert functions["json"]["scores"] == pytest.approx(functions["npy"])
    assert [float(value) for line in functions["csv"] for value in line] == pytest.approx(functions["npy"])
    assert functions["refused"] == ["ModelError", 500]
    assert functions["why"] == "ValueError: cannot read image/png"
    assert answers["whole"]["by"] == "transform_fn"
    plain = answers["plain"]
    labels = [float(score > 0.5) for score in functions["npy"]]
    assert plain["npy"] == plain["json"] == answers["whole"]["labels"] == labels
    assert [float(value) for line in plain["csv"] for value in line] == labels
    assert plain["refused"] == ["ModelError", 415]


def test_a_script_that_raises_is_told_with_the_end_of_its_traceback(sdk2: Client) -> None:
    seen = sdk2("raising_script")
    assert seen["status"] == "Failed"
    assert "AlgorithmError: ExecuteUserScriptError" in seen["message"]
    assert "RuntimeError: the box is empty" in seen["message"]
    assert "exit code: 1" in seen["message"]


def test_what_is_not_there_is_told_in_the_words_that_the_sdk_reads(sdk2: Client) -> None:
    code, message = sdk2("deleting_what_is_not_there")
    assert code == "ValidationException"
    assert "Could not find" in message


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed here")
def test_pytorch_without_torch_is_refused_with_the_line_that_installs_it(sdk2: Client) -> None:
    code, message = sdk2("pytorch_refusal")
    assert code == "ValidationException"
    assert "pip install 'clary[torch]'" in message


@pytest.fixture
def sdk2_with_torch() -> Iterator[Client]:
    """Yield SDK v2 before a Clary whose scripts run in an environment that has torch."""
    python = python_of("sdk3")
    if not any((python.parents[1] / "lib").glob("python3*/site-packages/torch")):
        pytest.skip("no environment here has torch")
    for server in server_with_runtime(python):
        yield from client(server.env(server.account()), python_of("sdk2"), "v2")


@pytest.mark.slow
def test_a_pytorch_script_trains_and_serves_where_there_is_torch(sdk2_with_torch: Client) -> None:
    assert sdk2_with_torch("pytorch_script") > 0.9


@pytest.mark.slow
def test_remote_functions_bring_requirements_and_raise_what_they_raise(sdk2: Client, tmp_path: Path) -> None:
    seen = sdk2("remote_functions", str(tmp_path))
    assert seen["table"].split() == ["1", "2", "3", "4"]
    assert seen["raised"] == ["ZeroDivisionError", "by hand"]


def test_the_account_of_a_client_is_its_own(clary_server: ClaryServer, sdk2: Client) -> None:
    account = sdk2("who_and_where")["account"]
    assert account != clary_server.account().account_id
