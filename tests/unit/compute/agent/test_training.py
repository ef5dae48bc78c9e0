"""Training hosts, from the spec to the result: real agents, sandboxes, FIFOs and archives."""

import gzip
import io
import json
import os
import signal
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clary.compute import agent as module
from clary.compute.base import Outcome, RunPhase, Runtime, Size
from clary.testing.s3 import MemoryS3, answers

Script = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.usefixtures("own_opt_ml")


def unpacked(body: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        return {each.name: tar.extractfile(each).read() for each in tar if each.isfile()}  # type: ignore[union-attr]


def channel(name: str = "train", uri: str = "s3://b/data/", **members: Any) -> dict[str, Any]:
    source = {"S3Uri": uri, **members.pop("source", {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **members}


WHOLE = """
import argparse, json, os, socket, sys
parser = argparse.ArgumentParser()
parser.add_argument("-n", type=int); parser.add_argument("-s"); parser.add_argument("--flag")
given = parser.parse_args()
rows = open(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "a.csv")).read().split()
print("rows", len(rows), flush=True)
print("hyper", given.n, given.s, given.flag, os.environ["SM_HP_N"])
print("where", os.getcwd(), sys.argv[0], os.environ["SM_MODEL_DIR"], socket.gethostname())
print("loss\\tvalidation-auc:0.75")
print("on stderr", file=sys.stderr)
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"), "w") as file:
    json.dump({"rows": len(rows)}, file)
open("/opt/ml/output/data/report.txt", "w").write("report")
"""


def test_a_script_trains_and_leaves_its_model(
    launch: Any, script: Script, s3: MemoryS3, receiver: Any
) -> None:
    s3.put("s3://b/data/a.csv", b"1\n2\n3\n")
    request = script(
        WHOLE,
        HyperParameters={"n": "5", "s": '"str"', "flag": "true"},
        InputDataConfig=[channel(ContentType="text/csv")],
        AlgorithmSpecification={
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "auc", "Regex": r"#011validation-auc:(\S+)"}],
        },
    )
    agent = launch(launch.spec(request))
    result = agent.result()
    assert (result.outcome, result.reason, result.exit_code) == (Outcome.SUCCEEDED, "", 0)
    assert result.phase is RunPhase.UPLOADING
    assert result.artifacts == "s3://b/out/job/output/model.tar.gz"
    assert unpacked(s3.get(result.artifacts)) == {"model.json": b'{"rows": 3}'}
    assert unpacked(s3.get("s3://b/out/job/output/output.tar.gz")) == {"report.txt": b"report"}
    lines = receiver.lines()
    for line in ("rows 3", "hyper 5 str True 5", "loss\tvalidation-auc:0.75", "on stderr"):
        assert line in lines
    if lines[-1].startswith("where /opt"):
        assert "where /opt/ml/code train.py /opt/ml/model algo-1" in lines
    assert [m[::2] for r in receiver.reports for m in r["metrics"]] == [["auc", 0.75]]
    assert receiver.phases()[-1] == "Uploading"
    assert [each["seq"] for each in receiver.reports] == list(range(1, len(receiver.reports) + 1))
    assert receiver.reports[-1]["result"] == json.loads((agent.home / "result.json").read_text())
    assert all(each["result"] is None for each in receiver.reports[:-1])
    assert {(path, bearer) for path, bearer, _ in receiver.seen} == {
        (f"/_clary/runs/{agent.home.parents[1].name}/algo-1/reports", "Bearer token")
    }
    state = json.loads((agent.home / "state.json").read_text())
    assert state["phase"] == "Ended"


def test_lines_arrive_while_the_program_runs(launch: Any, script: Script, receiver: Any) -> None:
    text = "import time\nprint('first')\nprint('partial', end='', flush=True)\nwhile True: time.sleep(1)"
    agent = launch(launch.spec(script(text)))
    receiver.wait_for(lambda: "partial" in receiver.lines())
    assert receiver.lines()[-2:] == ["first", "partial"]
    agent.stop(outcome="stopped", grace_s=0)
    assert agent.result().outcome is Outcome.STOPPED


@pytest.mark.parametrize(
    ("text", "code", "shows"),
    [
        ("raise ValueError('bad input')", 1, 'ErrorMessage "ValueError: bad input"'),
        ("import sys; sys.exit(3)", 3, "ExitCode 3"),
        ("import sys; sys.exit('no rows')", 1, 'ErrorMessage "no rows"'),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", None, "signal: SIGSEGV"),
        ("open('/opt/ml/output/failure', 'w').write('it broke'); raise SystemExit(2)", 2, "it broke"),
    ],
)
def test_a_failure_says_what_the_program_said(
    launch: Any, script: Script, s3: MemoryS3, text: str, code: int | None, shows: str
) -> None:
    text = f"open('/opt/ml/output/data/left', 'w').write('x')\n{text}"
    result = launch(launch.spec(script(text, HyperParameters={"n": "5"}))).result()
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, code)
    assert result.phase is RunPhase.TRAINING
    assert result.reason.startswith("AlgorithmError: ")
    assert shows in result.reason
    if "failure" not in text:
        assert result.reason.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode ")
        assert 'Command "python3 train.py -n 5"' in result.reason
    assert len(result.reason) <= 1024
    assert not result.is_retryable
    assert s3.keys("s3://b/out/") == ["out/job/output/output.tar.gz"]


def test_a_long_traceback_is_shown_whole_in_the_logs(launch: Any, script: Script, receiver: Any) -> None:
    launch(launch.spec(script("def f():\n    return 1 / 0\nf()"))).result()
    lines = receiver.lines()
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert not any("script.py" in line for line in lines)


@pytest.mark.parametrize("with_term", [True, False])
def test_a_stopped_job_still_publishes_its_model(
    launch: Any, script: Script, s3: MemoryS3, receiver: Any, with_term: bool
) -> None:
    text = (
        "import signal, sys, time\n"
        "def stop(*_):\n    open('/opt/ml/model/last', 'w').write('saved'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\nprint('ready', flush=True)\nwhile True: time.sleep(1)"
    )
    agent = launch(launch.spec(script(text)))
    receiver.wait_for(lambda: "ready" in receiver.lines())
    if with_term:
        os.kill(agent.process.pid, signal.SIGTERM)
    else:
        agent.stop(outcome="stopped", grace_s=60)
    result = agent.result()
    assert (result.outcome, result.reason) == (Outcome.STOPPED, "")
    assert unpacked(s3.get(result.artifacts)) == {"last": b"saved"}


def test_a_program_that_ignores_the_term_is_killed(launch: Any, script: Script, receiver: Any) -> None:
    text = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\nwhile True: time.sleep(1)"
    )
    agent = launch(launch.spec(script(text)))
    receiver.wait_for(lambda: "ready" in receiver.lines())
    begun = time.monotonic()
    agent.stop(outcome="interrupted", grace_s=0.3)
    result = agent.result()
    assert (result.outcome, result.signal) == (Outcome.INTERRUPTED, "SIGKILL")
    assert result.artifacts == ""
    assert 0.3 <= time.monotonic() - begun < 10


def test_the_time_limit_ends_the_program_and_publishes(launch: Any, script: Script, s3: MemoryS3) -> None:
    text = "open('/opt/ml/model/part', 'w').write('x')\nimport time\ntime.sleep(60)"
    request = script(text, StoppingCondition={"MaxRuntimeInSeconds": 1})
    result = launch(launch.spec(request)).result()
    assert (result.outcome, result.signal) == (Outcome.OUT_OF_TIME, "SIGTERM")
    assert unpacked(s3.get(result.artifacts)) == {"part": b"x"}


def test_more_memory_than_the_instance_has_is_said(launch: Any, script: Script) -> None:
    spec = launch.spec(
        script("x = [bytearray(1 << 20) for _ in range(1500)]\nimport time\ntime.sleep(30)"),
        size=Size(cpus=1, memory_mib=256),
        instance_type="ml.t3.small",
    )
    result = launch(spec).result()
    assert result.outcome is Outcome.FAILED
    assert "256 MiB of ml.t3.small" in result.reason
    assert result.reason.startswith("ClientError: Please use an instance type with more memory")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"body": b"this is no archive"}, "s3://b/source/sourcedir.tar.gz is not a gzip archive"),
        ({"body": gzip.compress(b"garbage" * 200)}, "s3://b/source/sourcedir.tar.gz is damaged"),
        ({"body": None}, "NoSuchKey"),
        ({"InputDataConfig": [channel("validation", "s3://b/none/")]}, "No S3 objects found under S3 URL"),
        ({"InputDataConfig": [channel("validation", "s3://nobucket/x")]}, '"s3://nobucket/x"'),
        ({"HyperParameters": {"sagemaker_program": '"other.py"'}}, 'The entry point "other.py" is not in'),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/usr"}}, "LocalPath"),
    ],
)
def test_bad_input_is_explained_before_anything_runs(
    launch: Any, script: Script, s3: MemoryS3, receiver: Any, change: dict[str, Any], says: str
) -> None:
    change = dict(change)
    body = change.pop("body", b"-")
    request = script("print('ran')", **change)
    if body is None:
        del s3.objects["b", "source/sourcedir.tar.gz"]
    elif body != b"-":
        s3.put("s3://b/source/sourcedir.tar.gz", body)
    result = launch(launch.spec(request)).result()
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("ClientError: ")
    assert says in result.reason
    assert not result.is_retryable
    assert "ran" not in receiver.lines()


def test_a_store_in_trouble_does_not_fail_the_job(launch: Any, script: Script, s3: MemoryS3) -> None:
    s3.faults += [answers(503), answers(500), answers(503)]
    assert launch(launch.spec(script("pass"))).result().outcome is Outcome.SUCCEEDED


def test_a_lost_store_is_the_platforms_fault(launch: Any, script: Script, s3: MemoryS3) -> None:
    request = script("pass")
    s3.faults += [answers(403, "InvalidAccessKeyId")] * 3
    result = launch(launch.spec(request)).result()
    assert result.reason.startswith("InternalServerError: ")
    assert result.is_retryable


def test_reports_survive_an_absent_control_plane(launch: Any, script: Script, receiver: Any) -> None:
    receiver.statuses += [503, 502, 500]
    launch(launch.spec(script("print('kept')"))).result()
    assert receiver.lines() == ["kept"]
    assert [each["seq"] for each in receiver.reports] == list(range(1, len(receiver.reports) + 1))
    assert len(receiver.seen) == len(receiver.reports) + 3


def test_a_closed_run_does_not_hold_the_agent(launch: Any, script: Script, receiver: Any) -> None:
    receiver.statuses += [404] * 20
    assert launch(launch.spec(script("pass"))).result().outcome is Outcome.SUCCEEDED


def test_a_pipe_channel_is_read_epoch_by_epoch(
    launch: Any, script: Script, s3: MemoryS3, receiver: Any
) -> None:
    s3.put("s3://b/data/1", gzip.compress(b"one\n"))
    s3.put("s3://b/data/2", gzip.compress(b"two\n"))
    text = (
        "for epoch in range(3):\n"
        "    print(epoch, open(f'/opt/ml/input/data/train_{epoch}').read().split(), flush=True)"
    )
    request = script(text, InputDataConfig=[channel(InputMode="Pipe", CompressionType="Gzip")])
    assert launch(launch.spec(request)).result().outcome is Outcome.SUCCEEDED
    assert receiver.lines() == [f"{epoch} ['one', 'two']" for epoch in range(3)]


def test_a_pipe_that_breaks_fails_the_job(launch: Any, script: Script, s3: MemoryS3) -> None:
    s3.put("s3://b/data/1", b"no gzip")
    request = script(
        "print(len(open('/opt/ml/input/data/train_0').read()))",
        InputDataConfig=[channel(InputMode="Pipe", CompressionType="Gzip")],
    )
    result = launch(launch.spec(request)).result()
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("ClientError: s3://b/data/1 is not gzip")


def test_checkpoints_are_restored_and_kept(launch: Any, script: Script, s3: MemoryS3) -> None:
    s3.put("s3://b/keep/sub/epoch", b"4")
    text = (
        "import os\nhere = '/opt/ml/checkpoints/sub/epoch'\nn = int(open(here).read())\n"
        "open(here, 'w').write(str(n + 1))\nopen('/opt/ml/output/intermediate/seen', 'w').write('y')"
    )
    request = script(text, CheckpointConfig={"S3Uri": "s3://b/keep"})
    for expected in (b"5", b"6"):
        result = launch(launch.spec(request)).result()
        assert result.outcome is Outcome.SUCCEEDED, result.reason
        assert s3.get("s3://b/keep/sub/epoch") == expected
    assert s3.get("s3://b/out/job/output/intermediate/seen") == b"y"


def test_checkpoints_reach_the_store_while_the_program_runs(
    launch: Any, script: Script, s3: MemoryS3, receiver: Any
) -> None:
    text = "import time\nopen('/ckpt/1', 'w').write('one')\nwhile True: time.sleep(0.05)"
    request = script(text, CheckpointConfig={"S3Uri": "s3://b/keep/", "LocalPath": "/ckpt"})
    agent = launch(launch.spec(request))
    until = time.monotonic() + 30
    while not s3.keys("s3://b/keep/"):
        assert time.monotonic() < until, receiver.lines()
        time.sleep(0.02)
    os.kill(agent.process.pid, signal.SIGKILL)  # not even the agent's end takes them away
    assert s3.get("s3://b/keep/1") == b"one"


def test_an_uncompressed_model_keeps_its_files(launch: Any, script: Script, s3: MemoryS3) -> None:
    text = "import os\nos.mkdir('/opt/ml/model/d')\nopen('/opt/ml/model/d/f', 'w').write('x')"
    output = {"S3OutputPath": "s3://b/out/", "CompressionType": "NONE"}
    result = launch(launch.spec(script(text, OutputDataConfig=output))).result()
    assert result.artifacts == "s3://b/out/job/output/model/"
    assert s3.get("s3://b/out/job/output/model/d/f") == b"x"


def test_the_first_host_publishes_for_all(launch: Any, script: Script, s3: MemoryS3, receiver: Any) -> None:
    for n in range(4):
        s3.put(f"s3://b/data/{n}", b"x")
    text = (
        "import json, os\nhost = os.environ['SM_CURRENT_HOST']\n"
        "print(host, sorted(os.listdir('/opt/ml/input/data/train')), os.environ['SM_HOSTS'])\n"
        "open(f'/opt/ml/model/{host}', 'w').write(host)\nopen('/opt/ml/model/same', 'w').write(host)\n"
        "open(f'/opt/ml/output/data/{host}', 'w').write(host)"
    )
    sharded = channel(source={"S3DataDistributionType": "ShardedByS3Key"})
    request = script(
        text, InputDataConfig=[sharded], ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2}
    )
    spec = launch.spec(request, hosts=("algo-1", "algo-2"))
    agents = [launch(spec, host) for host in spec.hosts]
    first, second = (each.result() for each in agents)
    assert (first.outcome, second.outcome) == (Outcome.SUCCEEDED, Outcome.SUCCEEDED), (first, second)
    assert second.artifacts == ""
    assert unpacked(s3.get(first.artifacts)) == {"algo-1": b"algo-1", "algo-2": b"algo-2", "same": b"algo-1"}
    assert set(unpacked(s3.get("s3://b/out/job/output/output.tar.gz"))) == {"algo-1", "algo-2"}
    assert s3.keys("s3://b/out/job/output/.clary") == []
    assert receiver.lines("algo-1") == ["algo-1 ['0', '2'] [\"algo-1\",\"algo-2\"]"]
    assert receiver.lines("algo-2") == ["algo-2 ['1', '3'] [\"algo-1\",\"algo-2\"]"]


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
        "InputDataConfig": [channel("code", "s3://b/code/")],
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
