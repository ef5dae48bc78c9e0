"""The environment for clients: what is set, what is unset, and that shells read it back."""

import json
import subprocess
from pathlib import Path

import pytest

from clary.cli import credentials, environment
from clary.cli.credentials import Keys
from clary.cli.supervisor.state import Running
from clary.kernel.errors import SetupError


@pytest.fixture
def running(tmp_path):
    folder = tmp_path / "it's a folder; $HOME"
    folder.mkdir()
    credentials.keep(
        folder, "default", Keys(account="1" * 12, access_key_id="AKIA", secret_access_key="a'b\"$c")
    )
    return Running(
        pid=1,
        since="1",
        url="http://127.0.0.1:4747",
        region="eu-west-1",
        data_dir=str(folder),
        version="1",
        started_at="",
        ca_bundle=str(folder / "ca.pem"),
    )


def test_every_variable_comes_out_of_a_shell_as_it_went_in(running):
    variables = environment.environment(running, environ={})
    script = environment.as_shell(variables) + "\nexec env -0"
    output = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True, env={}).stdout
    seen = dict(entry.split("=", 1) for entry in output.decode().split("\0") if entry)
    assert {name: seen.get(name) for name in variables} == variables


def test_the_sdks_find_endpoint_keys_certificates_proxy_and_telemetry_setting(running):
    variables = environment.environment(running, environ={})
    assert (
        variables["AWS_ENDPOINT_URL"] == variables["HTTPS_PROXY"] == variables["https_proxy"] == running.url
    )
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert variables["AWS_CA_BUNDLE"] == variables["REQUESTS_CA_BUNDLE"] == running.ca_bundle
    assert variables["AWS_SECRET_ACCESS_KEY"] == "a'b\"$c"
    assert str(variables["SAGEMAKER_USER_CONFIG_OVERRIDE"]).startswith(running.data_dir)
    assert variables["AWS_EC2_METADATA_DISABLED"] == "true"
    assert variables["AWS_DISABLE_HOST_PREFIX_INJECTION"] == "true"


def test_hosts_that_needed_no_proxy_before_still_need_none(running):
    variables = environment.environment(running, environ={"NO_PROXY": "intern.example, localhost"})
    assert variables["NO_PROXY"] == variables["no_proxy"] == "intern.example,localhost,127.0.0.1"


@pytest.mark.parametrize(
    "name", ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_USE_FIPS_ENDPOINT"]
)
def test_what_would_win_over_it_is_unset(running, name):
    environ = {name: "x", "PATH": "/bin", "AWS_CONFIG_FILE": "kept"}
    variables = environment.environment(running, environ=environ)
    assert variables[name] is None
    assert f"unset {name}" in environment.as_shell(variables).splitlines()
    assert environment.applied(variables, environ)["AWS_CONFIG_FILE"] == "kept"
    assert name not in environment.applied(variables, environ)


def test_an_unknown_account_is_refused_with_those_that_exist(running):
    with pytest.raises(
        SetupError, match="no account 'nobody' here; there are: default; `clary account create"
    ):
        environment.environment(running, "nobody")


def test_keys_are_kept_for_the_owner_only_and_beside_those_there(running):
    folder = Path(running.data_dir)
    credentials.keep(folder, "two", Keys(account="2" * 12, access_key_id="AKIB", secret_access_key="s"))
    assert (folder / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert set(json.loads((folder / "credentials.json").read_text())) == {"default", "two"}
