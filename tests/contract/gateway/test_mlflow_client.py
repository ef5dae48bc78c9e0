"""The real MLflow client, in an environment that this test makes, against a live Clary."""

import json
import os
import subprocess
import sys
import sysconfig
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

WALK = """
    import json, time
    import boto3, mlflow, mlflow.sklearn
    from mlflow.tracking import MlflowClient
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment("Walk through")
    mlflow.sklearn.autolog()
    features, labels = load_iris(return_X_y=True)
    with mlflow.start_run(run_name="auto") as run:
        LogisticRegression(max_iter=200).fit(features, labels)
    mlflow.sklearn.autolog(disable=True)
    key, client, sagemaker = run.info.run_id, MlflowClient(), boto3.client("sagemaker")
    auto = client.get_run(key)
    model = mlflow.sklearn.load_model(f"runs:/{key}/model")
    wanted = [("Metrics.training_score.Last", "GreaterThan", "0.5"), ("Parameters.max_iter", "Equals", "200")]
    filters = [dict(zip(("Name", "Operator", "Value"), each)) for each in wanted]
    found = sagemaker.search(Resource="ExperimentTrialComponent", SearchExpression={"Filters": filters})
    (found,) = [each["TrialComponent"] for each in found["Results"]]

    other = "from-sagemaker"
    sagemaker.create_trial_component(
        TrialComponentName=other,
        Parameters={"lr": {"NumberValue": 0.5}},
        Status={"PrimaryStatus": "Completed"},
    )
    trial = found["Parents"][0]["TrialName"]
    sagemaker.associate_trial_component(TrialComponentName=other, TrialName=trial)
    now = int(time.time())
    points = [
        {"MetricName": "loss", "Timestamp": now, "Step": n, "Value": 1 / (n + 1)} for n in range(3)
    ]
    boto3.client("sagemaker-metrics").batch_put_metrics(TrialComponentName=other, MetricData=points)
    with mlflow.start_run(run_name="parent") as parent:
        for lr in (0.1, 0.2):
            with mlflow.start_run(run_name=f"child {lr}", nested=True):
                mlflow.log_param("lr", lr)
                mlflow.log_metric("loss", lr * 2)
    experiment = mlflow.get_experiment_by_name("Walk through").experiment_id
    nested = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    theirs = client.search_runs([experiment], "params.lr = '0.5' and metrics.loss < 0.5")
    print(json.dumps({
        "n_params": len(auto.data.params),
        "metrics": sorted(auto.data.metrics),
        "score": float(model.score(features, labels)),
        "models": [each.name for each in mlflow.search_logged_models(output_format="list")],
        "table": list(mlflow.search_runs(filter_string="metrics.training_score > 0.5")["run_id"]),
        "found": found["TrialComponentName"] == key,
        "theirs": [(each.info.run_id, each.data.params, each.info.status) for each in theirs],
        "history": [each.value for each in client.get_metric_history(other, "loss")],
        "children": [
            each.info.run_name
            for each in client.search_runs([experiment], nested, order_by=["metrics.loss DESC"])
        ],
        "key": key,
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


def answer_of(program, python, variables, folder):
    """Run a program that prints an answer as JSON in its last line."""
    done = subprocess.run(
        [python, "-W", "ignore", "-c", textwrap.dedent(program)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **variables, "MLFLOW_DISABLE_TELEMETRY": "true"},
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_mlflow_client_logs_searches_and_reads_back(clary_server, python, tmp_path):
    account = clary_server.account()
    seen = answer_of(PROGRAM, python, clary_server.env(account), tmp_path)
    assert (seen["status"], seen["params"]) == ("FINISHED", {"lr": "0.1", "kind": "tree"})
    assert seen["metrics"] == {"loss": 0.2}
    assert seen["history"] == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    assert (seen["files"], seen["text"]) == (["conf", "note.txt"], "hello")
    assert (seen["found"], seen["parent"], seen["left"]) == (["first"], True, 2)
    sagemaker = account.client("sagemaker")
    shown = sagemaker.describe_trial_component(TrialComponentName=seen["component"])
    assert shown["Status"]["PrimaryStatus"] == "Completed"
    assert set(shown["OutputArtifacts"]) == {"conf/c.json", "note.txt"}


def test_autologged_runs_are_searched_by_sagemaker_and_sagemaker_s_by_mlflow(clary_server, python, tmp_path):
    variables = clary_server.env(clary_server.account())
    libraries = sysconfig.get_path("purelib")  # scikit-learn and pandas, beside the client
    seen = answer_of(WALK, python, {**variables, "PYTHONPATH": libraries}, tmp_path)
    assert seen["n_params"] > 5
    assert {"training_score", "training_roc_auc", "training_log_loss"} <= set(seen["metrics"])
    assert seen["score"] > 0.9
    assert seen["models"] == ["model"]
    assert (seen["table"], seen["found"]) == ([seen["key"]], True)
    assert seen["theirs"] == [["from-sagemaker", {"lr": "0.5"}, "FINISHED"]]
    assert seen["history"] == [1, 1 / 2, 1 / 3]
    assert seen["children"] == ["child 0.2", "child 0.1"]
