"""Training hosts, from the spec to the result: real agents, sandboxes, FIFOs and archives."""

import gzip
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from clary.compute.base import Outcome, RunPhase, Size
from clary.testing.jobs import unpack
from clary.testing.s3 import MemoryS3, answers

Script = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.usefixtures("own_opt_ml")


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
    assert unpack(s3.get(result.artifacts)) == {"model.json": b'{"rows": 3}'}
    assert unpack(s3.get("s3://b/out/job/output/output.tar.gz")) == {"report.txt": b"report"}
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
    assert unpack(s3.get(result.artifacts)) == {"last": b"saved"}


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
    assert unpack(s3.get(result.artifacts)) == {"part": b"x"}


def test_a_metric_whose_search_never_ends_holds_nothing_up(
    launch: Any, script: Script, receiver: Any
) -> None:
    metrics = [{"Name": "slow", "Regex": r"(a+)+b"}, {"Name": "good", "Regex": r"good=(\S+)"}]
    request = script(
        "import time\nfor n in range(4): print('a' * 60, f'good={n} b', flush=True)\ntime.sleep(60)",
        StoppingCondition={"MaxRuntimeInSeconds": 1},
        AlgorithmSpecification={"TrainingInputMode": "File", "MetricDefinitions": metrics},
    )
    assert launch(launch.spec(request)).result().outcome is Outcome.OUT_OF_TIME
    assert [m[2] for r in receiver.reports for m in r["metrics"]] == [0, 1, 2, 3]
    (told,) = [line for line in receiver.lines() if line.startswith("[clary]")]
    assert 'metric "slow" is given up' in told


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
