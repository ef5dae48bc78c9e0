import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clary.compute.cluster import link
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings


def test_an_address_is_taken_as_it_is() -> None:
    assert link.address_of("ray://10.0.0.1:10001") == ("ray://10.0.0.1:10001", "")


def test_a_file_holds_address_and_token(tmp_path: Path) -> None:
    (tmp_path / "address").write_text("ray://head:10001\ns3cr3t\n")
    assert link.address_of(str(tmp_path / "address")) == ("ray://head:10001", "s3cr3t")


@pytest.mark.parametrize("text", ["10.0.0.1:6379", "ray://head", ""])
def test_what_is_no_address_is_refused_with_what_it_says(tmp_path: Path, text: str) -> None:
    (tmp_path / "address").write_text(text)
    with pytest.raises(SetupError, match="must be ray://HOST:PORT"):
        link.address_of(str(tmp_path / "address"))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SetupError, match="/nowhere/at/all"):
        link.address_of("/nowhere/at/all")


def test_a_driver_has_the_clusters_token_and_not_the_servers_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    found = link.environment(Settings(data_dir=tmp_path, objects_secret_key="hidden too"), "s3cr3t")
    assert found["RAY_AUTH_TOKEN"] == "s3cr3t"
    assert found["RAY_USAGE_STATS_ENABLED"] == "0"
    assert not {each for each in found.values() if each.startswith("hidden")}


def test_a_link_that_is_closed_while_its_driver_is_being_started_ends_that_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = link.Link(Settings(data_dir=tmp_path), "clary-unit", lambda _event: None)
    started: list[subprocess.Popen[str]] = []

    def start(_words: object, **given: Any) -> "subprocess.Popen[str]":
        made._end.set()  # what `close` does first, before there is a process that it could kill
        words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        started.append(Popen(words, **given | {"env": None}))
        return started[-1]

    Popen = subprocess.Popen
    monkeypatch.setattr(link, "check", lambda _cluster: ("ray://10.0.0.1:10001", ""))
    monkeypatch.setattr(subprocess, "Popen", start)
    made._one()
    assert started[0].returncode == -9
    started[0].stdin.close()  # type: ignore[union-attr]
