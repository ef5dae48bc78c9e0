"""Processors of the SageMaker Python SDKs, unmodified, against a live Clary."""

from collections.abc import Iterator

import pytest

from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_processing")


@pytest.fixture(scope="module")
def v3(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk3"), "v3_processing")


def test_sklearn_processor_carries_local_files_both_ways_and_shows_its_log(v2: Client) -> None:
    seen = v2("sklearn_processor")
    assert (seen["status"], seen["message"]) == ("Completed", "kept 2"), seen
    assert (seen["seen"]["rows"], seen["seen"]["kept"]) == (4, 2)
    assert "kept 2" in seen["logs"]


def test_script_processor_runs_a_script_in_any_image_of_ours(v2: Client) -> None:
    seen = v2("script_processor")
    assert (seen["status"], seen["message"]) == ("Completed", "kept 4"), seen
    assert {"Key": "k", "Value": "v"} in seen["tags"]


def test_framework_processor_installs_the_requirements_of_its_source(v2: Client) -> None:
    seen = v2("framework_processor")
    assert seen["status"] == "Completed", seen
    assert seen["seen"] == {"rows": 4, "kept": 4, "cloudpickle": True}


def test_processor_runs_a_command_and_tells_why_it_failed(v2: Client) -> None:
    well, failed = v2("plain_processor")
    assert (well["status"], well["message"]) == ("Completed", "plain"), well
    assert failed["status"] == "Failed"
    assert "KeyError: 'gone'" in failed["reason"]


def test_spark_is_refused_with_the_reason(v2: Client) -> None:
    assert "spark images (sagemaker-spark-processing) need a container engine" in v2("spark_processor")


@pytest.mark.sdk_v3
def test_version_3s_processors_run_unmodified(v3: Client) -> None:
    seen = v3("script_processor")
    assert (seen["status"], seen["message"]) == ("Completed", "kept 2"), seen
    assert seen["seen"]["rows"] == 2
    plain = v3("plain_processor")
    assert (plain["status"], plain["message"]) == ("Completed", "plain"), plain


@pytest.mark.sdk_v3
def test_version_3s_framework_processor_installs_requirements(v3: Client) -> None:
    seen = v3("framework_processor")
    assert seen["status"] == "Completed", seen
    assert seen["seen"]["cloudpickle"] is True
