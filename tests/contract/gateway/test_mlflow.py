"""MLflow's REST interface, spoken by hand; `test_mlflow_client.py` does it with the real client."""

import base64
import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from clary.testing.jobs import ScriptJob


class Tracking:
    """Speaks MLflow's REST for an account."""

    def __init__(self, account, secret=None):
        keys = f"{account.access_key_id}:{secret or account.secret_access_key}"
        self._url = f"{account.url}/_clary/mlflow/api/2.0"
        self._headers = {"Authorization": f"Basic {base64.b64encode(keys.encode()).decode()}"}

    def send(self, method, path, body=None, *, raw=None):
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        url = f"{self._url}/{path}"
        request = urllib.request.Request(
            url, data, {**self._headers, "Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=60
            ) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post(self, path, /, **body):
        status, answer = self.send("POST", f"mlflow/{path}", body)
        assert status == 200, answer
        return json.loads(answer)

    def get(self, path, /, **query):
        status, answer = self.send("GET", f"mlflow/{path}?{urllib.parse.urlencode(query)}")
        assert status == 200, answer
        return json.loads(answer)

    def refused(self, path, /, **body):
        status, answer = self.send("POST", f"mlflow/{path}", body)
        assert status >= 400, answer
        return status, json.loads(answer)["error_code"], json.loads(answer)["message"]

    def run(self, experiment, name, **logged):
        run_id = self.post("runs/create", experiment_id=experiment, run_name=name)["run"]["info"]["run_id"]
        metrics = [
            {"key": key, "value": value, "step": 0, "timestamp": 1}
            for key, value in logged.get("metrics", {}).items()
        ]
        params = [{"key": key, "value": value} for key, value in logged.get("params", {}).items()]
        tags = [{"key": key, "value": value} for key, value in logged.get("tags", {}).items()]
        self.post("runs/log-batch", run_id=run_id, metrics=metrics, params=params, tags=tags)
        return run_id


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture(scope="module")
def tracking(account):
    return Tracking(account)


def test_experiments_have_any_name(tracking):
    made = tracking.post(
        "experiments/create", name="Fraud: models/v2", tags=[{"key": "team", "value": "red"}]
    )
    shown = tracking.get("experiments/get", **made)["experiment"]
    assert (shown["name"], shown["lifecycle_stage"]) == ("Fraud: models/v2", "active")
    assert shown["tags"] == [{"key": "team", "value": "red"}]
    by_name = tracking.get("experiments/get-by-name", experiment_name="Fraud: models/v2")["experiment"]
    assert by_name["experiment_id"] == made["experiment_id"]
    status, code, _ = tracking.refused("experiments/create", name="Fraud: models/v2")
    assert (status, code) == (400, "RESOURCE_ALREADY_EXISTS")
    tracking.post("experiments/delete", **made)
    names = [each["name"] for each in tracking.post("experiments/search")["experiments"]]
    assert "Default" in names
    assert "Fraud: models/v2" not in names
    tracking.post("experiments/restore", **made)
    found = tracking.post("experiments/search", filter="tags.team = 'red' AND name LIKE 'Fraud%'")[
        "experiments"
    ]
    assert [each["experiment_id"] for each in found] == [made["experiment_id"]]
    assert tracking.get("experiments/get", experiment_id="0")["experiment"]["name"] == "Default"


def test_a_run_keeps_what_is_logged(tracking):
    experiment = tracking.post("experiments/create", name="kept")["experiment_id"]
    run_id = tracking.run(experiment, "my run", params={"lr": "0.10", "kind": "tree"}, tags={"a": "b"})
    for step, value in enumerate((3.0, 2.0, "NaN", 1.0)):
        tracking.post(
            "runs/log-metric", run_id=run_id, key="loss", value=value, timestamp=1000 + step, step=step
        )
    tracking.post("runs/update", run_id=run_id, status="FINISHED", end_time=5000)
    run = tracking.get("runs/get", run_id=run_id)["run"]
    assert (run["info"]["status"], run["info"]["end_time"], run["info"]["run_name"]) == (
        "FINISHED",
        5000,
        "my run",
    )
    assert {each["key"]: each["value"] for each in run["data"]["params"]} == {"lr": "0.10", "kind": "tree"}
    assert run["data"]["metrics"] == [{"key": "loss", "value": 1.0, "timestamp": 1003, "step": 3}]
    assert {"key": "a", "value": "b"} in run["data"]["tags"]
    history = tracking.get("metrics/get-history", run_id=run_id, metric_key="loss")["metrics"]
    assert [each["value"] for each in history] == [3.0, 2.0, "NaN", 1.0]
    tracking.post("runs/log-parameter", run_id=run_id, key="lr", value="0.10")
    status, code, text = tracking.refused("runs/log-parameter", run_id=run_id, key="lr", value="0.2")
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "Changing param values is not allowed" in text
    tracking.post("runs/delete-tag", run_id=run_id, key="a")
    tracking.post("runs/delete", run_id=run_id)
    assert tracking.post("runs/search", experiment_ids=[experiment])["runs"] == []
    assert len(tracking.post("runs/search", experiment_ids=[experiment], run_view_type="ALL")["runs"]) == 1


def test_sagemaker_sees_mlflows_runs_and_the_other_way_round(account, tracking):
    sagemaker = account.client("sagemaker")
    experiment = tracking.post("experiments/create", name="shared")["experiment_id"]
    run_id = tracking.run(experiment, "one", params={"lr": "0.5"}, metrics={"auc": 0.75})
    shown = sagemaker.describe_trial_component(TrialComponentName=run_id)
    assert shown["Parameters"] == {"lr": {"NumberValue": 0.5}}
    assert shown["Metrics"][0]["Last"] == 0.75
    expression = {"Filters": [{"Name": "Parents.ExperimentName", "Value": "shared"}]}
    found = sagemaker.search(Resource="ExperimentTrialComponent", SearchExpression=expression)["Results"]
    assert [each["TrialComponent"]["TrialComponentName"] for each in found] == [run_id]
    sagemaker.create_trial_component(TrialComponentName="by-hand", Parameters={"depth": {"NumberValue": 6}})
    sagemaker.associate_trial_component(TrialComponentName="by-hand", TrialName="Default-Run-Group-shared")
    ids = {
        each["info"]["run_id"] for each in tracking.post("runs/search", experiment_ids=[experiment])["runs"]
    }
    assert ids == {run_id, "by-hand"}
    seen = tracking.get("runs/get", run_id="by-hand")["run"]
    assert seen["data"]["params"] == [{"key": "depth", "value": "6"}]
    assert seen["info"]["experiment_id"] == experiment


@pytest.fixture(scope="module")
def searched(tracking):
    """An experiment of three runs."""
    experiment = tracking.post("experiments/create", name="searched")["experiment_id"]
    tracking.run(experiment, "a", metrics={"rmse": 3.0}, params={"kind": "tree"}, tags={"team": "red"})
    tracking.run(experiment, "b", metrics={"rmse": 1.0}, params={"kind": "line", "lr": "0.1"})
    tracking.run(experiment, "c", params={"kind": "trees"})
    return experiment


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "cba"),
        ("metrics.rmse < 2", "b"),
        ("metrics.rmse >= 1 and params.kind = 'tree'", "a"),
        ("params.kind LIKE 'tree%'", "ca"),
        ("params.kind LIKE '%in%'", "b"),
        ("params.kind != 'tree'", "cb"),
        ("params.lr = '0.1'", "b"),
        ("params.\"kind\" IN ('tree', 'line')", "ba"),
        ("tags.team = 'red'", "a"),
        ("tags.team IS NULL", "cb"),
        ("attributes.run_name = 'b'", "b"),
        ("run_name IN ('a', 'c')", "ca"),
        ("attributes.status = 'RUNNING'", "cba"),
        ("start_time > 1", "cba"),
        ("start_time < 1", ""),
    ],
)
def test_filters_find_what_they_say(tracking, searched, text, wanted):
    found = tracking.post("runs/search", experiment_ids=[searched], filter=text)["runs"]
    assert "".join(each["info"]["run_name"] for each in found) == wanted


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        ("bac", ["metrics.rmse ASC"]),
        ("abc", ["metrics.rmse DESC", "start_time DESC"]),
        ("abc", ["attributes.run_name"]),
        ("cba", ["start_time DESC"]),
        ("bac", ["params.lr"]),
    ],
)
def test_runs_are_sorted_those_without_a_value_last_and_paged(tracking, searched, wanted, order):
    names, token = "", None
    while True:
        page: dict[str, str] = {"page_token": token} if token else {}
        answer = tracking.post(
            "runs/search", experiment_ids=[searched], order_by=order, max_results=1, **page
        )
        names += "".join(each["info"]["run_name"] for each in answer["runs"])
        token = answer.get("next_page_token")
        if not token:
            break
    assert names[0] == wanted[0]
    assert sorted(names) == sorted(wanted)
    if "params" not in order[0]:
        assert names == wanted


@pytest.mark.parametrize(
    "text",
    [
        "metrics.a < 1 OR metrics.b < 1",
        "metrics.a",
        "what.a = 1",
        "params.a > '1'",
        "params.a LIKE '%b'",
        "x = 1",
    ],
)
def test_filters_that_make_no_sense_are_refused(tracking, searched, text):
    status, code, message = tracking.refused("runs/search", experiment_ids=[searched], filter=text)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "filter" in message


def test_artefacts_go_through_to_s3(account, tracking):
    run_id = tracking.run("0", "files")
    place = tracking.get("runs/get", run_id=run_id)["run"]["info"]["artifact_uri"].removeprefix(
        "mlflow-artifacts:/"
    )
    base = f"mlflow-artifacts/artifacts/{place}"
    assert tracking.send("PUT", f"{base}/model/weights.bin", raw=b"\0\1")[0] == 200
    assert tracking.send("PUT", f"{base}/note%20one.txt", raw=b"hello")[0] == 200
    assert tracking.send("GET", f"{base}/note%20one.txt") == (200, b"hello")
    files = json.loads(tracking.send("GET", f"mlflow-artifacts/artifacts?path={place}")[1])["files"]
    assert [(each["path"], each["is_dir"]) for each in files] == [("model", True), ("note one.txt", False)]
    listed = tracking.get("artifacts/list", run_id=run_id, path="model")["files"]
    assert listed == [{"path": "model/weights.bin", "is_dir": False, "file_size": 2}]
    shown = account.client("sagemaker").describe_trial_component(TrialComponentName=run_id)["OutputArtifacts"]
    uri = shown["model/weights.bin"]["Value"]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    assert account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read() == b"\0\1"
    assert tracking.send("GET", f"{base}/absent")[0] == 404
    assert tracking.send("GET", f"{base}/../../secret")[0] in {400, 404}
    assert tracking.send("DELETE", f"{base}/model")[0] == 200
    assert tracking.get("artifacts/list", run_id=run_id, path="model")["files"] == []


def test_strangers_and_neighbours_see_nothing(clary_server, account, tracking, searched):
    status, body = Tracking(account, secret="wrong").send("POST", "mlflow/experiments/search", {})
    assert (status, json.loads(body)["error_code"]) == (401, "UNAUTHENTICATED")
    other = Tracking(clary_server.account())
    assert other.send("GET", f"mlflow/experiments/get?experiment_id={searched}")[0] == 404
    run_id = tracking.run("0", "mine")
    assert other.send("GET", f"mlflow/runs/get?run_id={run_id}")[0] == 404
    assert other.send("GET", f"mlflow-artifacts/artifacts/searched/{run_id}/artifacts/x")[0] == 404


def test_what_is_not_served_says_so(tracking):
    status, code, text = tracking.refused("registered-models/create", name="m")
    assert (status, code) == (404, "ENDPOINT_NOT_FOUND")
    assert "registered models" in text


def test_logged_models_belong_to_their_run(tracking):
    experiment = tracking.post("experiments/create", name="models")["experiment_id"]
    run_id = tracking.run(experiment, "maker")
    made = tracking.post(
        "logged-models", experiment_id=experiment, source_run_id=run_id, name="forest",
        params=[{"key": "depth", "value": "3"}],
    )["model"]["info"]  # fmt: skip
    model_id = made["model_id"]
    assert made["artifact_uri"] == f"mlflow-artifacts:/models/{run_id}/artifacts/forest"
    status, answer = tracking.send("PATCH", f"mlflow/logged-models/{model_id}", {"status": "2"})
    assert (status, json.loads(answer)["model"]["info"]["status"]) == (200, "LOGGED_MODEL_READY")
    tracking.send("PATCH", f"mlflow/logged-models/{model_id}/tags", {"tags": [{"key": "a", "value": "b"}]})
    shown = tracking.get(f"logged-models/{model_id}")["model"]
    assert (shown["info"]["tags"], shown["data"]["params"][0]["value"]) == ([{"key": "a", "value": "b"}], "3")
    wanted = {"experiment_ids": [experiment], "filter": "name = 'forest'"}
    found = tracking.post("logged-models/search", **wanted)["models"]
    assert [each["info"]["model_id"] for each in found] == [model_id]
    assert tracking.send("DELETE", f"mlflow/logged-models/{model_id}/tags/a")[0] == 200
    assert tracking.send("DELETE", f"mlflow/logged-models/{model_id}")[0] == 200
    assert tracking.send("GET", f"mlflow/logged-models/{model_id}")[0] == 404


def test_a_job_logs_with_the_token_of_its_environment(account):
    script = """
import json, os, urllib.request
url, token = os.environ["MLFLOW_TRACKING_URI"], os.environ["MLFLOW_TRACKING_TOKEN"]
def post(path, **body):
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    asked = urllib.request.Request(url + "/api/2.0/mlflow/" + path, json.dumps(body).encode(), headers)
    return json.loads(urllib.request.urlopen(asked, timeout=30).read())
run = post("runs/create", experiment_id="0", run_name="from a job")["run"]["info"]["run_id"]
post("runs/log-metric", run_id=run, key="inside", value=1.5, timestamp=1, step=0)
open("/opt/ml/model/run.json", "w").write(json.dumps(run))
"""
    job = ScriptJob.create(account, script)
    run_id = job.findings("run.json")
    shown = account.client("sagemaker").describe_trial_component(TrialComponentName=run_id)
    assert [(each["MetricName"], each["Last"]) for each in shown["Metrics"]] == [("inside", 1.5)]
