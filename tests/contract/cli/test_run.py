"""`clary run` and `clary env` against a Clary that runs: exit codes, signals, shells, profiles."""

import json
import os
import signal
import subprocess
import sys

import boto3
import pytest

from clary.cli import credentials
from clary.cli.credentials import Keys


@pytest.fixture(scope="module")
def clary(tmp_path_factory, clary_on):
    made = clary_on(tmp_path_factory.mktemp("run") / "data")
    made.start()
    for name, number in (("default", 1), ("second", 2)):
        keys = Keys(account=str(number) * 12, access_key_id=f"AKIA{number}", secret_access_key="it's $ecret")
        credentials.keep(made.data_dir, name, keys)
    yield made
    made("down")
    made.foreground.communicate()


def test_a_program_sees_the_environment_of_env(clary):
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    ran = clary("run", "--", sys.executable, "-c", code, AWS_PROFILE="other")
    seen = json.loads(ran.stdout)
    printed = json.loads(clary("env", "--json", AWS_PROFILE="other").stdout)
    assert {name: seen.get(name) for name in printed} == printed
    assert "AWS_PROFILE" in printed
    assert "AWS_PROFILE" not in seen


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_evaluates_env(clary, shell):
    script = 'eval "$("$@")"; echo "$AWS_ENDPOINT_URL|$AWS_SECRET_ACCESS_KEY|${AWS_PROFILE-none}"'
    done = subprocess.run(
        [shell, "-ec", script, shell, *clary.argv("env")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"TOYS": "web", "AWS_PROFILE": "other"},
    )
    url, secret, profile = done.stdout.strip().split("|")
    assert url.startswith("http://127.0.0.1:")
    assert secret == "it's $ecret"
    assert profile == "none"


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_programs(clary, code):
    assert clary("run", "--", "sh", "-c", f"exit {code}").returncode == code


def test_death_by_a_signal_is_the_programs(clary):
    assert clary("run", "--", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


@pytest.fixture
def interruptible():
    """Have programs hear SIGINT, though whoever started these tests in the background had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_signal_reaches_the_program_itself(clary):
    script = "trap 'echo heard; exit 7' INT; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        clary.argv("run", "--", "sh", "-c", script),
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TOYS": "web"},
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            running.send_signal(signal.SIGINT)
            assert running.communicate(timeout=60)[0] == "heard\n"
        finally:
            running.kill()
    assert running.returncode == 7


def test_options_after_the_program_are_the_programs(clary):
    assert clary("run", "echo", "--account", "-f", "--help").stdout == "--account -f --help\n"


def test_another_account_brings_its_keys(clary):
    assert clary("run", "--account", "second", "--", "printenv", "AWS_ACCESS_KEY_ID").stdout == "AKIA2\n"


def test_what_cannot_be_run_is_one_line_with_the_shells_codes(clary, tmp_path):
    missing = clary("run", "--", "no-such-program")
    assert (missing.returncode, missing.stderr) == (
        127,
        "clary: no-such-program: no such program on the PATH\n",
    )
    (tmp_path / "plain").write_text("x")
    plain = clary("run", "--", str(tmp_path / "plain"))
    assert plain.returncode == 126
    assert "cannot be executed: Permission denied" in plain.stderr
    nobody = clary("run", "--account", "nobody", "--", "true")
    assert nobody.returncode == 125
    assert "there are: default, second" in nobody.stderr


def test_a_profile_is_one_that_boto3_takes(clary, tmp_path, monkeypatch):
    files = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }
    done = clary("env", "--profile", "mine", "--account", "second", **files)
    assert done.returncode == 0
    assert "aws --profile mine" in done.stdout
    for name in [*files, "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in files.items():
        monkeypatch.setenv(name, value)
    session = boto3.Session(profile_name="mine")
    keys = session.get_credentials()
    assert keys is not None
    assert keys.access_key == "AKIA2"
    assert session.client("sts").meta.endpoint_url.startswith("http://127.0.0.1:")
    assert session.region_name == "us-east-1"


def test_up_starts_clary_where_it_is_not_running(tmp_path, clary_on):
    other = clary_on(tmp_path / "data")
    other.data_dir.mkdir()
    credentials.keep(
        other.data_dir, "default", Keys(account="3" * 12, access_key_id="AKIA3", secret_access_key="s")
    )
    try:
        done = other("run", "--up", "--", "printenv", "AWS_ACCESS_KEY_ID", toys="web", CLARY_PORT="0")
        assert (done.returncode, done.stdout) == (0, "AKIA3\n")
        assert "Ready in" in done.stderr
    finally:
        assert other("down").returncode == 0
