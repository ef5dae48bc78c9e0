"""Transforming hosts: models in a row, what was published before, programs that end too early."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from clary.compute.base import Outcome, RunKind, Runtime
from clary.testing.jobs import pack
from clary.testing.s3 import MemoryS3

pytestmark = pytest.mark.usefixtures("own_opt_ml")

PLUS = """
def model_fn(folder):
    return None

def transform_fn(model, body, content_type, accept):
    text = body if isinstance(body, str) else body.decode()
    return "".join(f"{int(line) + 1}\\n" for line in text.split()), "text/plain"
"""
TIMES = """
import os

def model_fn(folder):
    return None

def transform_fn(model, body, content_type, accept):
    text = body if isinstance(body, str) else body.decode()
    if "14" in text.split():
        print("ending over", text, flush=True)
        os._exit(7)
    return f"{content_type} {accept}: {[10 * int(line) for line in text.split()]}", accept
"""


@pytest.fixture
def transform(launch: Any, s3: MemoryS3) -> Any:
    def start(*scripts: str, attempt: int = 1, **members: Any) -> Any:
        containers = []
        for n, text in enumerate(scripts):
            s3.put(f"s3://b/models/{n}.tar.gz", pack({"code/inference.py": text}))
            environment = {"SAGEMAKER_PROGRAM": "inference.py"}
            containers.append({"ModelDataUrl": f"s3://b/models/{n}.tar.gz", "Environment": environment})
        runtime = Runtime(kind="framework", name="scikit-learn")
        request = {
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in/"}},
                "ContentType": "text/csv",
                "SplitType": "Line",
            },
            "TransformOutput": {"S3OutputPath": "s3://b/out/", "Accept": "x/y", "AssembleWith": "Line"},
            "ModelClientConfig": {"InvocationsMaxRetries": 0},
            "JobMark": "this-job",
            "CreatedMs": 0,
            "Containers": containers,
            "Runtimes": [asdict(runtime)] * len(containers),
            **members,
        }
        return launch(launch.spec(request, kind=RunKind.TRANSFORM, runtime=runtime, attempt=attempt))

    return start


def lines(receiver: Any) -> list[str]:
    return [text for each in receiver.reports for _, text, *_ in each["logs"]]


def test_several_containers_are_asked_one_after_the_other(
    transform: Any, s3: MemoryS3, receiver: Any
) -> None:
    s3.put("s3://b/in/a.csv", b"1\n2\n")
    agent = transform(PLUS, TIMES)
    assert agent.result().outcome is Outcome.SUCCEEDED
    assert s3.get("s3://b/out/a.csv.out") == b"text/plain x/y: [20, 30]\n"
    assert receiver.phases()[-1] == "Transforming"
    assert "BatchStrategy=MULTI_RECORD" in lines(receiver)[0]


def test_a_model_that_ends_too_early_ends_the_job_with_its_last_words(
    transform: Any, s3: MemoryS3, receiver: Any
) -> None:
    s3.put("s3://b/in/a.csv", b"13\n")
    result = transform(PLUS, TIMES).result()
    assert result.outcome is Outcome.FAILED
    assert result.exit_code == 7
    assert result.reason.startswith(
        "AlgorithmError: container-2: The model ended before its work, with exit code: 7"
    )
    assert "ending over" in result.reason
    assert s3.keys("s3://b/out/") == []


def test_a_second_attempt_leaves_what_bears_its_mark(transform: Any, s3: MemoryS3, receiver: Any) -> None:
    for name in ("a", "b"):
        s3.put(f"s3://b/in/{name}.csv", b"1\n")
    assert transform(PLUS).result().outcome is Outcome.SUCCEEDED
    s3.put("s3://b/in/c.csv", b"5\n")
    assert transform(PLUS, attempt=2).result().outcome is Outcome.SUCCEEDED
    assert s3.get("s3://b/out/c.csv.out") == b"6\n"


def test_a_stop_is_obeyed_at_once(transform: Any, s3: MemoryS3, receiver: Any) -> None:
    s3.put("s3://b/in/a.csv", b"1\n")
    agent = transform("import time\ntime.sleep(60)\n" + PLUS)
    receiver.wait_for(lambda: "Starting" in receiver.phases())
    agent.stop(outcome="stopped", grace_s=0)
    assert agent.result().outcome is Outcome.STOPPED
    assert json.loads((agent.home / "state.json").read_text())["phase"] == "Ended"
