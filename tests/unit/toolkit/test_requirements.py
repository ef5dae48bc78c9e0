"""Overlays: packages of a script's own on top of the runtime's."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clary.toolkit import requirements


def wheel(folder: Path, name: str, version: str, body: str) -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", body)
        meta = f"{name}-{version}.dist-info"
        file.writestr(f"{meta}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{meta}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{meta}/RECORD", f"{name}.py,,\n{meta}/METADATA,,\n{meta}/WHEEL,,\n{meta}/RECORD,,\n")
    return path


def run(overlay: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{overlay}/bin:/usr/bin:/bin", "PIP_NO_INDEX": "1"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=cwd)


def test_an_overlay_sees_the_runtimes_packages_and_its_own_first(tmp_path: Path) -> None:
    python = requirements.interpreter()
    overlay = tmp_path / "overlay"
    requirements.overlay(overlay, python)
    own = Path(requirements.site_packages(overlay, python))
    (own / "six.py").write_text("__version__ = 'own'")
    show = "import numpy, six, sys; print(six.__version__, numpy.__name__, sys.prefix)"
    found = run(overlay, "python3", "-c", show)
    assert found.stdout.split() == ["own", "numpy", str(overlay)], found.stderr


def test_only_what_is_missing_is_installed(tmp_path: Path) -> None:
    python = requirements.interpreter()
    overlay, code = tmp_path / "overlay", tmp_path / "code"
    code.mkdir()
    wheel(code, "clary_probe", "1.0", "VALUE = 'installed'")
    (code / "requirements.txt").write_text("numpy\n./clary_probe-1.0-py3-none-any.whl\n")
    requirements.overlay(overlay, python)
    found = run(overlay, *requirements.install_command(str(overlay), code), cwd=code)
    assert found.returncode == 0, found.stderr
    own = Path(requirements.site_packages(overlay, python))
    assert (own / "clary_probe.py").is_file()
    assert not (own / "numpy").exists()
    assert (
        run(overlay, "python", "-c", "import clary_probe; print(clary_probe.VALUE)").stdout == "installed\n"
    )


def test_pip_on_the_path_installs_into_the_overlay(tmp_path: Path) -> None:
    python = requirements.interpreter()
    requirements.overlay(tmp_path / "overlay", python)
    path = wheel(tmp_path, "clary_probe", "2.0", "")
    found = run(tmp_path / "overlay", "pip", "install", "-q", "--no-input", str(path))
    assert found.returncode == 0, found.stderr
    assert (Path(requirements.site_packages(tmp_path / "overlay", python)) / "clary_probe.py").is_file()


def test_equal_wishes_have_one_name_within_an_account(tmp_path: Path) -> None:
    python = requirements.interpreter()
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "requirements.txt").write_text("shap==0.40\n")
        (folder / "train.py").write_text(str(folder))
    assert requirements.digest("1", python, one) == requirements.digest("1", python, two)
    assert requirements.digest("1", python, one) != requirements.digest("2", python, one)
    (two / "requirements.txt").write_text("shap==0.41\n")
    assert requirements.digest("1", python, one) != requirements.digest("1", python, two)


@pytest.mark.parametrize("text", ["./wheels/a.whl\n", "-r more.txt\n", "a @ file:x\n", "-e .\n"])
def test_what_a_wish_names_counts_as_well(tmp_path: Path, text: str) -> None:
    python = requirements.interpreter()
    (tmp_path / "requirements.txt").write_text(text)
    before = requirements.digest("1", python, tmp_path)
    (tmp_path / "more.txt").write_text("six\n")
    assert requirements.digest("1", python, tmp_path) != before


def test_another_python_is_asked_for_its_folders() -> None:
    found = requirements.interpreter(os.path.realpath(sys.executable))
    assert found.version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert all(Path(each).is_absolute() for each in (*found.packages, *found.prefixes))
    assert found.pip != "-"


@pytest.mark.parametrize(("name", "wants"), [("requirements.txt", True), ("setup.py", True), ("x.py", False)])
def test_a_folder_without_wishes_is_left_alone(tmp_path: Path, name: str, wants: bool) -> None:
    (tmp_path / name).touch()
    assert requirements.wants(tmp_path) is wants
