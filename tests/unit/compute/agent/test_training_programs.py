"""What a training host runs: commands, shell scripts, what requirements.txt installs."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clary.compute import agent as module
from clary.compute.base import Outcome, Runtime
from clary.testing.s3 import MemoryS3

Script = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.usefixtures("own_opt_ml")


def test_a_container_command_runs_verbatim(launch: Any, s3: MemoryS3, receiver: Any) -> None:
    s3.put(
        "s3://b/code/run.sh",
        b"#!/bin/bash\nset -e\necho args $@\npython -c 'print(1 + 1)'\nid -un >/dev/null\n",
    )
    request = {
        "AlgorithmSpecification": {
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": [
                "-c",
                "chmod +x /opt/ml/input/data/code/run.sh && /opt/ml/input/data/code/run.sh two words"
                " && command -v pip3 && echo x > /opt/ml/input/sm_training.env && echo $MINE $USER",
            ],
        },
        "InputDataConfig": [
            {"ChannelName": "code", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/code/"}}}
        ],
        "Environment": {"MINE": "yes"},
    }
    result = launch(launch.spec(request)).result()
    assert result.outcome is Outcome.SUCCEEDED, (result.reason, receiver.lines())
    lines = receiver.lines()
    assert lines[:2] == ["args two words", "2"]
    assert lines[2].endswith("/bin/pip3")
    assert lines[3] == "yes root"


def test_a_command_that_fails_names_phase_code_and_last_line(launch: Any) -> None:
    specification = {"ContainerEntrypoint": ["/bin/sh", "-c", "echo lost the plot >&2; exit 7"]}
    result = launch(launch.spec({"AlgorithmSpecification": specification})).result()
    assert result.reason == (
        "AlgorithmError: the program ended in phase Training with exit code: 7; "
        "the last it wrote to stderr: lost the plot"
    )


def test_a_shell_script_is_an_entry_point(launch: Any, script: Script, receiver: Any) -> None:
    request = script("echo shell $@ $SM_HP_N; exit 4", name="train.sh", HyperParameters={"n": "5"})
    result = launch(launch.spec(request)).result()
    assert receiver.lines() == ["shell -n 5 5"]
    assert result.exit_code == 4
    assert "train.sh -n 5" in result.reason


def test_a_script_that_shadows_a_loaded_module_runs_cold(launch: Any, script: Script, receiver: Any) -> None:
    request = script("import botocore; print(botocore.MINE)", files={"botocore.py": b"MINE = 'mine'"})
    assert launch(launch.spec(request)).result().outcome is Outcome.SUCCEEDED
    assert receiver.lines() == ["mine"]


def test_an_image_without_a_runner_is_explained(launch: Any) -> None:
    spec = launch.spec({}, runtime=Runtime(kind="container", name="my/image:1"))
    result = launch(spec).result()
    assert result.outcome is Outcome.FAILED
    assert "my/image:1" in result.reason


def test_a_framework_without_a_script_is_explained(launch: Any) -> None:
    result = launch(launch.spec({})).result()
    assert result.reason.startswith("ClientError: The image of scikit-learn runs a script")


def test_a_second_agent_leaves_the_host_alone(launch: Any, script: Script, receiver: Any, nest: Any) -> None:
    agent = launch(launch.spec(script("print('once', flush=True)\nimport time\ntime.sleep(60)")))
    receiver.wait_for(lambda: "once" in receiver.lines())
    second = nest.Process(target=module.main, args=(agent.home,))
    second.start()
    second.join(20)
    assert second.exitcode == 0
    assert agent.process.is_alive()
    agent.stop(outcome="stopped", grace_s=0)
    assert agent.result().outcome is Outcome.STOPPED
    assert receiver.lines() == ["once"]


def wheel(name: str, body: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr(f"{name}.py", body)
        folder = f"{name}-1.0.dist-info"
        file.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{folder}/RECORD", f"{name}.py,,\n{folder}/METADATA,,\n{folder}/WHEEL,,\n")
    return made.getvalue()


OFFLINE = {"PIP_NO_INDEX": "1"}
WHEEL = "clary_probe-1.0-py3-none-any.whl"


def test_requirements_are_installed_once_and_kept(
    launch: Any, script: Script, receiver: Any, data_dir: Path
) -> None:
    files = {
        WHEEL: wheel("clary_probe", "VALUE = 'theirs'"),
        "requirements.txt": f"numpy\n./{WHEEL}\n".encode(),
    }
    text = (
        "import clary_probe, os, subprocess\nprint(clary_probe.VALUE, flush=True)\n"
        "subprocess.run(['python', '-c', 'import clary_probe; print(clary_probe.VALUE)'], check=True)\n"
        "try:\n    open(clary_probe.__file__, 'w')\nexcept OSError as error:\n    print(error.strerror)"
    )
    request = script(text, files=files, Environment=OFFLINE)
    assert launch(launch.spec(request)).result().outcome is Outcome.SUCCEEDED, receiver.lines()
    lines = receiver.lines()
    assert any(line.startswith("Successfully installed clary") for line in lines)
    assert [line for line in lines if line == "theirs"] == ["theirs"] * 2
    assert lines[-1] in {"Read-only file system", "theirs"}
    kept = [each for each in (data_dir / "cache/requirements").iterdir() if each.is_dir()]
    receiver.reports.clear()
    assert launch(launch.spec(request)).result().outcome is Outcome.SUCCEEDED
    assert receiver.lines()[:2] == ["theirs", "theirs"]
    assert [each for each in (data_dir / "cache/requirements").iterdir() if each.is_dir()] == kept


def test_requirements_that_cannot_be_had_say_what_pip_said(
    launch: Any, script: Script, receiver: Any
) -> None:
    request = script(
        "print('ran')", files={"requirements.txt": b"nowhere-to-be-found\n"}, Environment=OFFLINE
    )
    result = launch(launch.spec(request)).result()
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("AlgorithmError: InstallRequirementsError:\nExitCode 1\nErrorMessage")
    assert "No matching distribution found for nowhere-to-be-found" in result.reason
    assert 'Command "python3 -m pip install' in result.reason
    assert "ran" not in receiver.lines()


def test_a_stop_ends_an_installation(launch: Any, script: Script, receiver: Any) -> None:
    setup = "import time, sys; print('building', file=sys.stderr, flush=True); time.sleep(60)"
    files = {"setup.py": setup.encode(), "pip.conf": b""}
    request = script("pass", files=files, Environment={**OFFLINE, "PIP_NO_BUILD_ISOLATION": "0"})
    agent = launch(launch.spec(request))
    receiver.wait_for(lambda: "Training" in receiver.phases())
    agent.stop(outcome="stopped", grace_s=0)
    assert agent.result().outcome is Outcome.STOPPED
