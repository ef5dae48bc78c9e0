"""A built-in algorithm through the agent, from CSV in S3 to a model in S3."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from clary.compute.base import Outcome, RunKind, Runtime
from clary.testing.s3 import MemoryS3

XGBOOST = Runtime(kind="builtin", name="xgboost", version="1.7-1")


def request(**hyperparameters: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/data/"}
    return {
        "HyperParameters": {"objective": "reg:squarederror", "num_round": "3", **hyperparameters},
        "AlgorithmSpecification": {
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "train:rmse", "Regex": r".*\[[0-9]+\].*#011train-rmse:(\S+)"}],
        },
        "InputDataConfig": [
            {"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}
        ],
    }


@pytest.fixture(autouse=True)
def data(s3: MemoryS3) -> None:
    rows = "".join(f"{n % 7},{n},{n * n % 11}\n" for n in range(200))
    s3.put("s3://b/data/train.csv", rows.encode())


def test_it_trains_reports_its_metric_and_serves(launch: Any, s3: MemoryS3, receiver: Any) -> None:
    result = launch(launch.spec(request(), runtime=XGBOOST)).result()
    assert result.outcome is Outcome.SUCCEEDED, result.reason
    with tarfile.open(fileobj=io.BytesIO(s3.get(result.artifacts))) as tar:
        assert tar.getnames() == ["xgboost-model"]
    metrics = [m for each in receiver.reports for m in each["metrics"]]
    assert [name for name, _, _ in metrics] == ["train:rmse"] * 3

    container = {"ModelDataUrl": result.artifacts, "Environment": {}}
    agent = launch(launch.spec({"Container": container}, kind=RunKind.SERVING, name="ep", runtime=XGBOOST))
    receiver.wait_for(lambda: "Serving" in receiver.phases())
    assert json.loads((agent.home / "state.json").read_text())["address"].endswith("replica.sock")
    agent.stop(outcome="stopped", grace_s=5)
    assert agent.result().outcome is Outcome.STOPPED


def test_a_bad_hyperparameter_is_the_customers(launch: Any) -> None:
    result = launch(launch.spec(request(num_round="-1"), runtime=XGBOOST)).result()
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("ClientError: ")
    assert "num_round" in result.reason


def test_a_model_that_is_none_is_explained(launch: Any, s3: MemoryS3) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    s3.put("s3://b/model.tar.gz", made.getvalue())
    container = {"ModelDataUrl": "s3://b/model.tar.gz"}
    result = launch(launch.spec({"Container": container}, kind=RunKind.SERVING, runtime=XGBOOST)).result()
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("AlgorithmError: The container did not pass the ping health check")


def test_without_namespaces_what_reads_its_environment_works(
    launch: Any, s3: MemoryS3, receiver: Any, tmp_path: Path
) -> None:
    text = "import os; open(os.path.join(os.environ['SM_MODEL_DIR'], 'm'), 'w').write(os.getcwd())"
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    s3.put("s3://b/source.tar.gz", made.getvalue())
    parameters = {"sagemaker_submit_directory": "s3://b/source.tar.gz", "sagemaker_program": "train.py"}
    spec = launch.spec({"HyperParameters": parameters})
    home = tmp_path / "data/runs" / spec.run_id / "hosts/algo-1"
    home.mkdir(parents=True)
    (home.parents[1] / "spec.json").write_text(json.dumps(spec.to_json()))
    settings = {"CLARY_SANDBOX": "none", "CLARY_DATA_DIR": str(tmp_path / "data")}
    path = os.pathsep.join(each for each in sys.path if each)
    subprocess.run(
        [sys.executable, "-m", "clary.compute.agent", str(home)],
        env={**os.environ, **settings, "PYTHONPATH": path},
        check=True,
        timeout=60,
    )
    result = json.loads((home / "result.json").read_text())
    assert result["outcome"] == "succeeded", (result, receiver.lines())
    with tarfile.open(fileobj=io.BytesIO(s3.get(result["artifacts"]))) as tar:
        assert tar.extractfile("m").read().decode() == str(home / "ml/code")  # type: ignore[union-attr]
