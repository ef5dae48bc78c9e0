import io
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clary.compute.agent import sources
from clary.compute.agent.install import InstallError
from clary.compute.agent.packages import Packages
from clary.compute.runners.base import Exit
from clary.toolkit import requirements

START = "/opt/ml/processing/input/entrypoint/runproc.sh"


def host_of(ml: Path, text: str | None, *, start: str = "python3 clean.py", **request: Any) -> Any:
    """Return a host whose inputs are staged."""
    script = ml / "processing/input/entrypoint/runproc.sh"
    code = ml / "processing/input/code"
    script.parent.mkdir(parents=True)
    code.mkdir(parents=True)
    script.write_text(start)
    with tarfile.open(code / "sourcedir.tar.gz", "w:gz") as files:
        if text is not None:
            member = tarfile.TarInfo("requirements.txt")
            member.size = len(text)
            files.addfile(member, io.BytesIO(text.encode()))
    asked = {
        "AppSpecification": {"ContainerEntrypoint": ["/bin/bash", START]},
        "ProcessingInputs": [
            {"InputName": "code", "S3Input": {"LocalPath": "/opt/ml/processing/input/code/"}},
            {"InputName": "entrypoint", "S3Input": {"LocalPath": "/opt/ml/processing/input/entrypoint"}},
        ],
        **request,
    }
    return SimpleNamespace(ml=ml, spec=SimpleNamespace(request=asked))


def test_the_requirements_of_the_packed_sources_are_asked_for(tmp_path: Path) -> None:
    assert sources.asked(host_of(tmp_path, "cloudpickle>=2\n")) == "cloudpickle>=2\n"


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (None, {}),
        ("-e .\n", {}),
        ("a\n", {"start": "aws codeartifact login --tool pip"}),
        ("a\n", {"NetworkConfig": {"EnableNetworkIsolation": True}}),
        ("a\n", {"AppSpecification": {"ContainerEntrypoint": ["python3", "/opt/ml/processing/clean.py"]}}),
        ("a\n", {"AppSpecification": {"ContainerEntrypoint": ["/opt/ml/../../etc/runproc.sh"]}}),
    ],
    ids=["none", "names files", "index of its own", "isolated", "another command", "elsewhere"],
)
def test_what_cannot_be_kept_is_left_to_the_start_script(
    tmp_path: Path, text: str | None, more: dict[str, Any]
) -> None:
    assert sources.asked(host_of(tmp_path, text, **more)) == ""


def test_a_broken_archive_is_left_to_the_start_script(tmp_path: Path) -> None:
    host = host_of(tmp_path, "a\n")
    (tmp_path / "processing/input/code/sourcedir.tar.gz").write_bytes(b"no archive")
    assert sources.asked(host) == ""


def test_the_program_installs_over_what_is_kept(tmp_path: Path) -> None:
    kept, asked = tmp_path / "kept", []

    def install(code: Path) -> Packages:
        asked.append((code / "requirements.txt").read_text())
        requirements.overlay(kept, requirements.interpreter())
        return Packages(requirements.interpreter(), kept)

    made = sources.stacked(SimpleNamespace(ml=tmp_path / "ml"), "a\n", install)  # type: ignore[arg-type]
    assert asked == ["a\n"]
    assert made.is_writable
    assert made.ro_binds == ((str(kept), "/opt/ml/.requirements"),)


def test_where_nothing_can_be_installed_the_start_script_says_why(tmp_path: Path) -> None:
    def install(_code: Path) -> Packages:
        raise InstallError("no such package", Exit(code=1))

    made = sources.stacked(SimpleNamespace(ml=tmp_path / "ml"), "a\n", install)  # type: ignore[arg-type]
    assert made.is_writable
    assert made.beneath == ()
