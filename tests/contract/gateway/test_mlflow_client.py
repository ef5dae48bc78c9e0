"""The real MLflow client, in an environment that this test makes, against a live Clary."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROGRAM = """
    import json
    import mlflow
    from mlflow.tracking import MlflowClient

    mlflow.set_experiment("Real client: one")
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_params({"lr": 0.1, "kind": "tree"})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.set_tag("team", "red")
        mlflow.log_dict({"x": 1}, "conf/c.json")
        mlflow.log_text("hello", "note.txt")
    with mlflow.start_run() as outer, mlflow.start_run(nested=True) as inner:
        mlflow.log_metric("m", float("nan"))
    client = MlflowClient()
    seen = client.get_run(run.info.run_id)
    experiment = mlflow.get_experiment_by_name("Real client: one").experiment_id
    good = "metrics.loss < 0.5 and params.lr = '0.1'"
    found = client.search_runs([experiment], good, order_by=["metrics.loss ASC"])
    client.delete_run(outer.info.run_id)
    print(json.dumps({
        "status": seen.info.status,
        "params": seen.data.params,
        "metrics": seen.data.metrics,
        "history": [each.value for each in client.get_metric_history(run.info.run_id, "loss")],
        "files": [each.path for each in client.list_artifacts(run.info.run_id)],
        "text": mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt"),
        "found": [each.info.run_name for each in found],
        "parent": client.get_run(inner.info.run_id).data.tags["mlflow.parentRunId"] == outer.info.run_id,
        "left": len(client.search_runs([experiment])),
        "component": run.info.run_id,
    }))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    home = tmp_path_factory.mktemp("mlflow")
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    made = subprocess.run(
        [home / "bin/pip", "install", "-q", "mlflow-skinny"], check=False, capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"mlflow-skinny cannot be installed here: {made.stderr[-300:]}")
    return home / "bin/python"


def test_the_mlflow_client_logs_searches_and_reads_back(clary_server, python, tmp_path):
    account = clary_server.account()
    environ = {**os.environ, **clary_server.env(account), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [python, "-W", "ignore", "-c", textwrap.dedent(PROGRAM)],
        check=False, capture_output=True, text=True, env=environ, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["status"], seen["params"]) == ("FINISHED", {"lr": "0.1", "kind": "tree"})
    assert seen["metrics"] == {"loss": 0.2}
    assert seen["history"] == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    assert (seen["files"], seen["text"]) == (["conf", "note.txt"], "hello")
    assert (seen["found"], seen["parent"], seen["left"]) == (["first"], True, 2)
    sagemaker = account.client("sagemaker")
    shown = sagemaker.describe_trial_component(TrialComponentName=seen["component"])
    assert shown["Status"]["PrimaryStatus"] == "Completed"
    assert set(shown["OutputArtifacts"]) == {"conf/c.json", "note.txt"}
