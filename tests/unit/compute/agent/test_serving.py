"""Serving hosts: staged, healthy, restarted, stopped; the replica is the test's own, in the model's code."""

import gzip
import io
import json
import os
import signal
import socket
import struct
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from clary.compute.agent.programmes import serving
from clary.compute.base import Outcome, RunKind, Runtime
from clary.testing.s3 import MemoryS3

pytestmark = pytest.mark.usefixtures("own_opt_ml")

REPLICA = """
import json, os, socket, struct, sys, time

def main(arguments):
    open("/opt/ml/model/arguments.json", "w").write(json.dumps(arguments))
    print("model", sorted(os.listdir(arguments["model_dir"])), flush=True)
    how = open("/opt/ml/model/how").read().split()
    if how[0] == "broken":
        print("cannot load the model", file=sys.stderr)
        return 5
    listener = socket.socket(socket.AF_UNIX)
    while how[0] == "deaf":
        time.sleep(1)
    listener.bind(arguments["socket"])
    listener.listen()
    while True:
        connection, _ = listener.accept()
        prefix = connection.recv(10)
        total, number, length = struct.unpack("<IIH", prefix)
        header = json.loads(connection.recv(total - 10)[:length])
        if header.get("crash"):
            print("crashed as told", file=sys.stderr, flush=True)
            os._exit(9)
        answer = json.dumps({"status": 200}).encode()
        connection.sendall(struct.pack("<IIH", 10 + len(answer), number, len(answer)) + answer)
        connection.close()
"""


def tar_gz(files: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


def model(how: str, **files: str) -> bytes:
    code = {"code/clary/__init__.py": "", "code/clary/serving/__init__.py": ""}
    return tar_gz({"how": how, **code, "code/clary/serving/replica.py": REPLICA, **files})


def say(address: str, header: dict[str, Any]) -> bytes:
    text = json.dumps(header).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(struct.pack("<IIH", 10 + len(text), 1, len(text)) + text)
        return connection.recv(1000)


@pytest.fixture
def serve(launch: Any, s3: MemoryS3) -> Any:
    def start(body: bytes, environment: dict[str, str] | None = None, **members: Any) -> Any:
        s3.put("s3://b/model.tar.gz", body)
        container = {"ModelDataUrl": "s3://b/model.tar.gz", "Environment": environment or {}}
        runtime = Runtime(kind="framework", name="scikit-learn")
        return launch(
            launch.spec({"Container": container, **members}, kind=RunKind.SERVING, name="ep", runtime=runtime)
        )

    return start


def address_of(agent: Any) -> str:
    state = json.loads((agent.home / "state.json").read_text())
    assert state["phase"] == "Serving"
    return str(state["address"])


def addresses(receiver: Any) -> list[str]:
    return [each["address"] for each in receiver.reports if each["address"]]


def test_a_healthy_replica_is_told_with_its_address(serve: Any, receiver: Any) -> None:
    agent = serve(model("well"), {"MINE": "1"})
    receiver.wait_for(lambda: addresses(receiver))
    assert receiver.phases()[-1] == "Serving"
    address = address_of(agent)
    assert addresses(receiver) == [address]
    assert b'"status": 200' in say(address, {"ping": True})
    arguments = json.loads((agent.home / "ml/model/arguments.json").read_text())
    assert arguments["handler"] == "script"
    assert arguments["name"] == "scikit-learn"
    assert arguments["model_dir"].endswith("/model")
    deadline = time.monotonic() + 60
    while not receiver.lines() and time.monotonic() < deadline:  # reports are paced
        time.sleep(0.02)
    assert receiver.lines() == ["model ['arguments.json', 'code', 'how']"]
    agent.stop(outcome="stopped", grace_s=10)
    assert agent.result().outcome is Outcome.STOPPED


def test_a_crashed_replica_is_started_again_then_given_up(serve: Any, receiver: Any) -> None:
    agent = serve(model("well"))
    for n in range(1, 5):
        receiver.wait_for(lambda n=n: len(addresses(receiver)) == n)
        with pytest.raises((ConnectionError, AssertionError)):
            assert say(address_of(agent), {"crash": True})
    result = agent.result()
    assert (result.outcome, result.exit_code) == (Outcome.FAILED, 9)
    assert "exit code: 9 after 3 restarts" in result.reason
    assert "crashed as told" in result.reason
    assert receiver.phases()[-7:] == [*["Serving", "Starting"] * 3, "Serving"]


def test_a_replica_that_cannot_start_fails_at_once(serve: Any, receiver: Any) -> None:
    result = serve(model("broken")).result()
    assert (result.outcome, result.exit_code, result.phase.value) == (Outcome.FAILED, 5, "Starting")
    assert result.reason.startswith("AlgorithmError: The container did not pass the ping health check")
    assert result.reason.endswith("cannot load the model")


def test_a_replica_that_does_not_answer_runs_out_of_time(serve: Any) -> None:
    result = serve(model("deaf"), StartupTimeoutInSeconds=1).result()
    assert result.outcome is Outcome.FAILED
    assert "did not pass the ping health check within 1 seconds" in result.reason


def test_a_stop_before_it_is_healthy_ends_it(serve: Any, receiver: Any) -> None:
    agent = serve(model("deaf"))
    receiver.wait_for(lambda: bool(receiver.lines()))
    os.kill(agent.process.pid, signal.SIGTERM)
    assert agent.result().outcome is Outcome.STOPPED


@pytest.mark.parametrize(
    ("body", "says"),
    [(b"nothing", "s3://b/model.tar.gz is not a gzip archive"), (gzip.compress(b"x"), "is damaged")],
    ids=["no gzip", "damaged"],
)
def test_a_bad_model_is_explained(serve: Any, body: bytes, says: str) -> None:
    result = serve(body).result()
    assert result.reason.startswith("ClientError: ")
    assert says in result.reason


def test_an_uncompressed_model_and_its_code_are_staged(launch: Any, s3: MemoryS3, receiver: Any) -> None:
    s3.put("s3://b/m/how", b"well")
    s3.put("s3://b/m/deep/weights", b"w")
    code = {"clary/__init__.py": "", "clary/serving/__init__.py": "", "clary/serving/replica.py": REPLICA}
    s3.put("s3://b/code.tar.gz", tar_gz({**code, "infer.py": ""}))
    container = {
        "ModelDataSource": {
            "S3DataSource": {"S3Uri": "s3://b/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        },
        "Environment": {"SAGEMAKER_SUBMIT_DIRECTORY": "s3://b/code.tar.gz", "SAGEMAKER_PROGRAM": "infer.py"},
    }
    runtime = Runtime(kind="framework", name="xgboost")
    agent = launch(launch.spec({"Containers": [container]}, kind=RunKind.SERVING, runtime=runtime))
    receiver.wait_for(lambda: addresses(receiver))
    arguments = json.loads((agent.home / "ml/model/arguments.json").read_text())
    assert (arguments["handler"], arguments["name"]) == ("script", "xgboost")
    receiver.wait_for(receiver.lines)  # they come apart from the address
    assert receiver.lines() == ["model ['arguments.json', 'code', 'deep', 'how']"]
    agent.stop(outcome="stopped", grace_s=0)
    assert agent.result().outcome is Outcome.STOPPED


def test_the_address_of_a_deep_folder_still_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARY_DATA_DIR", str(tmp_path / ("d" * 100)))
    home = tmp_path / ("d" * 100) / "runs/r/hosts/algo-1"
    folder = serving.socket_folder(home)
    assert len(os.fsencode(folder / serving.SOCKET)) <= serving.LONGEST_ADDRESS
    (folder / "x").touch()
    assert (home / "tmp/.replica/x").exists()
    assert serving.socket_folder(home) == folder
    folder.unlink()
