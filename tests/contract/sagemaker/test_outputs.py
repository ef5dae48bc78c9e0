"""What a training job leaves behind: artefacts, and the reason why it failed."""

import signal
from typing import Any

import pytest

from clary.testing.jobs import (
    TERMINAL,
    XGBOOST,
    ScriptJob,
    new_bucket,
    pack,
    read_object,
    script_request,
    unpack,
    wait_for_job,
)

LEAVE = """
import os, pathlib
model, output = pathlib.Path("/opt/ml/model"), pathlib.Path("/opt/ml/output/data")
(model / "deep").mkdir()
(model / "weights").write_bytes(bytes(range(256)) * 4096)
(model / "deep" / "note").write_text("n")
(model / "empty").mkdir()
os.symlink("weights", model / "same")
os.symlink("/etc/passwd", model / "outside")
os.mkfifo(model / "pipe")
(output / "scores.csv").write_text("1,2")
(pathlib.Path("/opt/ml/output/intermediate") / "last").write_text("late")
"""


def keys(job: Any, prefix: Any = "") -> Any:
    listed = job.account.client("s3").list_objects_v2(
        Bucket=job.bucket, Prefix=f"out/{job.name}/output/{prefix}"
    )
    start = f"out/{job.name}/output/"
    return {each["Key"].removeprefix(start) for each in listed.get("Contents", [])}


@pytest.fixture(scope="module")
def left(clary_server):
    """Return a completed job that left a model, output and intermediate output."""
    job = ScriptJob.create(clary_server.account(), LEAVE)
    job.completed()
    return job


def test_the_model_is_a_tar_of_what_lies_in_its_folder(left):
    assert left.completed()["ModelArtifacts"]["S3ModelArtifacts"] == (
        f"s3://{left.bucket}/out/{left.name}/output/model.tar.gz"
    )
    model = left.model()
    assert model["weights"] == bytes(range(256)) * 4096
    assert model["deep/note"] == b"n"
    assert "outside" not in model


def test_output_and_intermediate_output_lie_beside_it(left):
    assert keys(left) == {"model.tar.gz", "output.tar.gz", "intermediate/last"}
    output = read_object(left.account, f"s3://{left.bucket}/out/{left.name}/output/output.tar.gz")
    assert unpack(output) == {"scores.csv": b"1,2"}


def test_without_compression_the_models_files_are_objects(clary_server):
    account = clary_server.account()
    bucket = new_bucket(account)
    output = {"S3OutputPath": f"s3://{bucket}/out/", "CompressionType": "NONE"}
    job = ScriptJob.create(account, LEAVE, bucket=bucket, OutputDataConfig=output)
    described = job.completed()
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/out/{job.name}/output/model/"
    assert {"model/weights", "model/deep/note"} <= keys(job, "model/")
    assert not {"model/outside", "model/pipe", "model.tar.gz"} & keys(job)
    uri = f"s3://{bucket}/out/{job.name}/output/model/deep/note"
    assert read_object(account, uri) == b"n"


def test_a_job_that_leaves_nothing_still_has_an_empty_model(clary_server):
    job = ScriptJob.create(clary_server.account(), "pass")
    assert job.model() == {}
    assert keys(job) == {"model.tar.gz"}


def test_a_failed_job_publishes_its_output_and_no_model(clary_server):
    job = ScriptJob.create(clary_server.account(), LEAVE + "\nraise SystemExit(3)")
    assert job.wait()["TrainingJobStatus"] == "Failed"
    assert "output.tar.gz" in keys(job)
    assert "model.tar.gz" not in keys(job)


FAILURES = {
    "an-exception": (
        "def fit():\n    raise ValueError('the rows are of two widths: 3 and 4')\nfit()",
        ("AlgorithmError:", "ValueError: the rows are of two widths: 3 and 4", "exit code: 1"),
    ),
    "an-exit-code": (
        "import sys\nprint('column 7 is missing', file=sys.stderr)\nsys.exit(42)",
        ("AlgorithmError:", "column 7 is missing", "exit code: 42"),
    ),
    "a-text-at-exit": ("import sys; sys.exit('no data for May')", ("no data for May", "exit code: 1")),
    "a-signal": (
        "import os, signal, sys\nprint('last words', file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
        ("SIGKILL", "last words"),
    ),
    "a-crash": ("import ctypes; ctypes.string_at(8)", ("SIGSEGV",)),
    "a-written-failure": (
        "open('/opt/ml/output/failure', 'w').write('seed must be positive' + '!' * 5000)\n"
        "raise SystemExit(1)",
        ("AlgorithmError:", "seed must be positive"),
    ),
    "no-such-module": ("import no_such_module", ("no_such_module",)),
    "no-python": ("def (", ("SyntaxError",)),
}


@pytest.mark.parametrize("name", FAILURES)
def test_the_reason_of_a_failure_says_what_the_program_said(clary_server, name):
    text, words = FAILURES[name]
    described = ScriptJob.create(clary_server.account(), text).wait()
    assert described["TrainingJobStatus"] == "Failed"
    assert described["SecondaryStatus"] == "Failed"
    reason = described["FailureReason"]
    assert len(reason) <= 1024
    for word in words:
        assert word in reason


@pytest.mark.slow
def test_a_job_over_its_memory_is_told_so(clary_server):
    text = "rows = [bytearray(b'x' * 100_000_000) for _ in range(200)]"
    described = ScriptJob.create(
        clary_server.account(),
        text,
        ResourceConfig={"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 5},
    ).wait()
    assert described["TrainingJobStatus"] == "Failed"
    assert "memory" in described["FailureReason"].lower()


HANDLER = """
import pathlib, signal, sys, time
def end(number, frame):
    pathlib.Path("/opt/ml/model/partial").write_text(f"signal {number}")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""


def test_a_stop_gives_the_scripts_handler_its_chance_and_publishes_what_it_wrote(clary_server):
    job = ScriptJob.create(clary_server.account(), HANDLER)
    job.await_line("ready")
    job.account.client("sagemaker").stop_training_job(TrainingJobName=job.name)
    described = job.wait()
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Stopped"
    assert "FailureReason" not in described
    body = read_object(job.account, described["ModelArtifacts"]["S3ModelArtifacts"])
    assert unpack(body) == {"partial": f"signal {int(signal.SIGTERM)}".encode()}


def test_the_time_limit_gives_the_same_chance(clary_server):
    job = ScriptJob.create(clary_server.account(), HANDLER, StoppingCondition={"MaxRuntimeInSeconds": 2})
    described = job.wait()
    assert described["SecondaryStatus"] == "MaxRuntimeExceeded"
    body = read_object(job.account, described["ModelArtifacts"]["S3ModelArtifacts"])
    assert set(unpack(body)) == {"partial"}


def from_source(account: Any, bucket: Any, body: Any, *, key: Any = "source.tar.gz") -> Any:
    """Run a job whose `sourcedir.tar.gz` has these bytes; None uploads nothing."""
    if body is not None:
        account.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    request = script_request(account, bucket, f"s3://{bucket}/{key}")
    account.client("sagemaker").create_training_job(**request)
    return wait_for_job(account, request["TrainingJobName"], until=TERMINAL)


SOURCES = {
    "a-text": (b"import os\n", "is not a gzip archive"),
    "half-a-tar": (pack({"train.py": bytes(range(256)) * 400})[:300], "damaged"),
    "an-empty-object": (b"", "is empty"),
    "another-script": (pack({"fit.py": "pass"}), "there is: fit.py"),
    "no-object": (None, "source.tar.gz"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_cannot_be_used_fails_the_job_in_words(clary_server, name):
    body, words = SOURCES[name]
    account = clary_server.account()
    bucket = new_bucket(account)
    described = from_source(account, bucket, body)
    assert described["TrainingJobStatus"] == "Failed"
    reason = described["FailureReason"]
    assert reason.startswith("ClientError:")
    assert words in reason
    assert name == "another-script" or f"s3://{bucket}/source.tar.gz" in reason
    assert "Traceback" not in reason


def test_the_xgboost_image_runs_scripts_too(clary_server):
    text = "import xgboost; open('/opt/ml/model/version', 'w').write(xgboost.__version__)"
    assert set(ScriptJob.create(clary_server.account(), text, image=XGBOOST).model()) == {"version"}
