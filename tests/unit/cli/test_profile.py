"""Named AWS profiles: added, refreshed, and nothing else touched."""

import configparser

import pytest

from clary.cli import profile
from clary.cli.credentials import Keys
from clary.cli.supervisor.state import Running
from clary.kernel.errors import SetupError

KEYS = Keys(account="1" * 12, access_key_id="AKIA", secret_access_key="secret")
OTHERS = "# mine\n[default]\nregion = us-west-2\n\n[profile work]\n  s3 =\n    addressing_style = path\n"


def running(port: int) -> Running:
    url = f"http://127.0.0.1:{port}"
    return Running(
        pid=1,
        since="1",
        url=url,
        region="us-east-1",
        data_dir="/d",
        version="1",
        started_at="",
        ca_bundle="/ca",
    )


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws" / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws" / "credentials"))
    return tmp_path / "aws" / "config", tmp_path / "aws" / "credentials"


def test_a_profile_is_made_where_there_are_no_files(files):
    assert profile.write("clary", running(1), KEYS) == files
    config, secrets = configparser.ConfigParser(), configparser.ConfigParser()
    config.read(files[0])
    secrets.read(files[1])
    assert dict(config["profile clary"]) == {
        "region": "us-east-1",
        "endpoint_url": "http://127.0.0.1:1",
        "ca_bundle": "/ca",
    }
    assert dict(secrets["clary"]) == {"aws_access_key_id": "AKIA", "aws_secret_access_key": "secret"}
    assert files[1].stat().st_mode & 0o777 == 0o600


def test_other_profiles_stay_as_they_are_and_a_second_write_refreshes(files):
    files[0].parent.mkdir()
    files[0].write_text(OTHERS)
    profile.write("clary", running(1), KEYS)
    files[0].write_text(files[0].read_text() + "\n[profile last]\nregion = x\n")
    profile.write("clary", running(2), KEYS)
    text = files[0].read_text()
    assert text.startswith(OTHERS)
    assert text.endswith("\n[profile last]\nregion = x\n")
    assert text.count("[profile clary]") == 1
    assert "127.0.0.1:2" in text
    assert "127.0.0.1:1\n" not in text


def test_a_profile_of_somebody_elses_is_refused_and_nothing_is_written(files):
    files[0].parent.mkdir()
    files[0].write_text(OTHERS)
    with pytest.raises(SetupError, match=r"section \[profile work\] that Clary did not write"):
        profile.write("work", running(1), KEYS)
    assert files[0].read_text() == OTHERS
    assert not files[1].exists()


@pytest.mark.parametrize("name", ["", "two words", "x]\n[default"])
def test_a_name_that_would_break_the_file_is_refused(files, name):
    with pytest.raises(SetupError, match="--profile"):
        profile.write(name, running(1), KEYS)
