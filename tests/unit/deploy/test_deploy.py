"""The deployment files say what is true: settings that exist, one version, values that are declared."""

import dataclasses
import importlib
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clary.kernel.settings import Settings

yaml: Any = importlib.import_module("yaml")  # it has no types, but for who installs them
ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/clary"
SETTINGS = {f"CLARY_{each.name.upper()}" for each in dataclasses.fields(Settings)}
OF_COMPOSE = {f"CLARY_{each}" for each in ("IMAGE", "PUBLISH", "SHM", "DATABASE_IMAGE", "DATABASE_PASSWORD")}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def keys_of(tree: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in tree.items():
        yield before + name
        if isinstance(value, dict) and value and not name.endswith(("requests", "limits", "annotations")):
            yield from keys_of(value, f"{before}{name}.")


@pytest.mark.parametrize(
    "path", sorted(each for each in DEPLOY.rglob("*") if each.is_file()), ids=lambda path: path.name
)
def test_every_setting_that_a_file_names_exists(path: Path) -> None:
    known = SETTINGS | (OF_COMPOSE if path.name in {"compose.yaml", "example.env"} else set())
    assert set(re.findall(r"CLARY_[A-Z]+(?:_[A-Z]+)*", path.read_text())) <= known


def test_compose_has_three_services_that_are_seen_through_one_port() -> None:
    services = read(DEPLOY / "compose.yaml")["services"]
    assert set(services) == {"clary", "database", "objects"}
    assert [name for name, each in services.items() if "ports" in each] == ["clary"]
    assert all("healthcheck" in each and each["restart"] for each in services.values())
    assert set(services["clary"]["environment"]) <= SETTINGS
    assert "-ip.bind=127.0.0.1" in services["objects"]["command"]  # its inner ports ask nobody for a key


def test_every_variable_without_a_default_is_in_the_example() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text()))
    assert asked == set(re.findall(r"^(\w+)=$", (DEPLOY / "example.env").read_text(), re.MULTILINE))


def test_files_name_the_packages_version() -> None:
    chart = read(CHART / "Chart.yaml")
    assert chart["version"] == chart["appVersion"] == VERSION
    assert set(re.findall(r"localhost/clary:([\d.]+\d)", (DEPLOY / "compose.yaml").read_text())) == {VERSION}


def test_templates_use_values_that_are_declared_and_described() -> None:
    values = read(CHART / "values.yaml")
    text = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    used = {each.rstrip(".") for each in re.findall(r"\.Values\.([A-Za-z.]+)", text)}
    assert used <= set(keys_of(values))
    described = json.loads((CHART / "values.schema.json").read_text())
    assert set(described["properties"]) == {*values, "global"}
    for name, value in values.items():
        inner = described["properties"][name].get("properties")
        if isinstance(value, dict) and inner is not None:
            assert set(inner) == set(value), name


def test_units_are_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    units = []
    for path in (DEPLOY / "systemd").glob("clary*.[st][ei][rm]*"):
        copy = tmp_path / path.name
        copy.write_text(path.read_text().replace("/opt/clary/bin/clary", "/bin/true"))
        units.append(str(copy))
    assert len(units) == 3
    folder = tmp_path / "clary.service.d"
    folder.mkdir()
    shutil.copy(DEPLOY / "systemd/rootless-podman.conf", folder)
    done = subprocess.run(
        [analyze, "verify", *units], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if str(tmp_path) in line]) == (0, [])
