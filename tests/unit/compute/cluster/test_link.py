from pathlib import Path

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
