"""Refusals before a start: one line each, with what to do."""

import os
from collections import namedtuple
from pathlib import Path

import pytest

from clary.cli import preflight
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

Usage = namedtuple("Usage", "total used free")


def test_a_certificate_and_its_key_go_together(tmp_path):
    with pytest.raises(SetupError, match="CLARY_TLS_CERTIFICATE and CLARY_TLS_KEY go together"):
        preflight.check_host(Settings(tls_certificate="chain.pem"))
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    with pytest.raises(SetupError, match=f"CLARY_TLS_CERTIFICATE {chain} with .* No such file"):
        preflight.check_host(Settings(tls_certificate=str(chain), tls_key=str(key)))
    chain.write_text("no certificate")
    key.write_text("no key")
    with pytest.raises(SetupError, match="cannot be used"):
        preflight.check_host(Settings(tls_certificate=str(chain), tls_key=str(key)))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("192.0.2.1", "http://192.0.2.1:1"),
    ],
)
def test_this_machine_reaches_whatever_is_listened_on(host, url):
    preflight.check_host(Settings(host=host))
    assert Settings(host=host, port=1).url == url


def test_a_full_disk_is_refused_with_the_figures(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10**12, 10**12, 150 * 2**20))
    with pytest.raises(SetupError, match=r"only 150 MB are free on the disk of .*, Clary needs 200 MB"):
        preflight.check_disk(Settings(data_dir=tmp_path))


def test_a_file_in_the_way_of_the_data_folder_is_named(tmp_path):
    (tmp_path / "taken").touch()
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(SetupError, match="file"):
            preflight.check_data_dir(Settings(data_dir=folder))


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SetupError, match="cannot be written by user id"):
        preflight.check_data_dir(Settings(data_dir=tmp_path / "data"))


def test_a_file_system_without_room_or_rights_is_one_line(tmp_path, monkeypatch):
    for number, text in ((28, "the disk is full"), (30, "Read-only file system"), (13, "Permission denied")):

        def refuse(*_args, number=number, **_more):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(SetupError, match=text):
            preflight.check_data_dir(Settings(data_dir=tmp_path / "data"))


def test_the_data_folder_can_be_passed_by_jobs_and_read_by_its_owner_only(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    preflight.check_data_dir(settings)
    assert settings.data_dir.stat().st_mode & 0o777 == 0o711
    assert settings.socket_dir.stat().st_mode & 0o777 == 0o700
    assert (settings.data_dir / "logs").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("url", ["foo", "mysql://u:p@h/d"])
def test_a_database_of_another_kind_is_refused_before_anything_starts(url):
    with pytest.raises(SetupError, match=r"CLARY_STORE_URL .*; use sqlite:///… or postgresql://…") as refused:
        preflight.check_store(Settings(store_url=url))
    assert "u:p" not in str(refused.value)


def test_sqlite_in_the_data_folder_needs_no_look(tmp_path):
    preflight.check_store(Settings(data_dir=tmp_path / "none"))
