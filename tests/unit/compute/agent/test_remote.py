import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clary.compute.agent import remote
from clary.compute.agent.packages import Packages
from clary.kernel.errors import CustomerError
from clary.toolkit import requirements

DRIVER = ["/bin/bash", "/opt/ml/input/data/sagemaker_remote_function_bootstrap/job_driver.sh"]
BARE = requirements.Interpreter(
    executable=sys.executable, base=sys.executable, version="3.11", tag="x", packages=()
)


def request(*arguments: str, entrypoint: list[str] = DRIVER) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"ContainerEntrypoint": entrypoint, "ContainerArguments": list(arguments)}
    }


def test_the_sdk_is_wanted_in_the_version_of_the_client() -> None:
    asked = request("--client_python_version", "3.11", "--client_sagemaker_pysdk_version", "2.257.7")
    assert remote.wanted(asked, BARE) == "sagemaker==2.257.7"


def test_a_client_of_version_3_gets_the_part_that_runs_in_jobs() -> None:
    assert (
        remote.wanted(request("--client_sagemaker_pysdk_version", "3.27.0"), BARE) == "sagemaker-core>=2,<3"
    )


def test_a_client_that_names_no_version_gets_version_2() -> None:
    assert remote.wanted(request(), BARE) == "sagemaker<3"


def test_other_commands_get_no_sdk() -> None:
    assert remote.wanted(request(entrypoint=["python3", "train.py"]), BARE) == ""


def test_a_runtime_that_has_the_sdk_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "sagemaker").mkdir()
    python = requirements.Interpreter(
        executable="python3", base="python3", version="3.11", tag="x", packages=(str(tmp_path),)
    )
    assert remote.wanted(request("--client_sagemaker_pysdk_version", "2.257.7"), python) == ""


def test_a_version_cannot_carry_another_requirement() -> None:
    with pytest.raises(CustomerError, match=r"--client_sagemaker_pysdk_version is \"2 --index"):
        remote.wanted(request("--client_sagemaker_pysdk_version", "2 --index-url http://elsewhere"), BARE)


def test_the_program_installs_over_the_sdk_and_the_sdk_lies_over_the_runtime(tmp_path: Path) -> None:
    python = requirements.interpreter()
    host: Any = SimpleNamespace(ml=tmp_path / "ml")
    kept, asked = tmp_path / "kept", []

    def install(code: Path) -> Packages:
        asked.append((code / "requirements.txt").read_text())
        requirements.overlay(kept, python)
        (Path(requirements.site_packages(kept, python)) / "sagemaker.py").write_text("WHERE = 'sdk'\n")
        return Packages(python, kept)

    made = remote.stacked(host, python, "sagemaker==2.257.7", install)

    assert asked == ["sagemaker==2.257.7\n"]
    assert made.is_warm
    assert made.is_writable
    assert made.ro_binds == ((str(kept), "/opt/ml/.sagemaker"),)
    code = "import sys, sagemaker, numpy; print(sagemaker.WHERE, *sys.path)"
    own = host.ml / ".packages"
    answer = subprocess.run([own / "bin/python", "-c", code], capture_output=True, text=True, check=True)
    where, *path = answer.stdout.split()
    order = [requirements.site_packages(own, python), requirements.site_packages(kept, python)]
    order.append(python.packages[0])
    assert where == "sdk"
    assert [each for each in path if each in order] == order
