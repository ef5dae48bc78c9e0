"""The servers that a user would choose instead, each at its best setting for one row a request.

One worker each, but two of gunicorn: what is compared is CPU for a request, and a second worker would take
the core of the client. The batching that some offer waits by a timer, and a lone client would wait, too.
"""

from bench._peers import Peer
from bench._torch_mlp import PREDICTOR

SHARED = (
    """
import os, sys
import numpy as np
ROOT = os.environ["BENCH_ROOT"]
THREADS = int(os.environ.get("BENCH_THREADS", "1"))
def xgboost_model():
    import xgboost
    booster = xgboost.Booster()
    booster.load_model(ROOT + "/model.json")
    booster.set_param({"nthread": THREADS})
    return booster
def sklearn_model():
    from sklearn.linear_model import LogisticRegression
    rows = np.load(ROOT + "/rows.npy")
    return LogisticRegression().fit(rows[:, 1:], rows[:, 0])
"""
    + PREDICTOR
    + """
def predictor(kind):
    if kind == "torch":
        return mlp_predictor(ROOT)
    model = xgboost_model() if kind == "xgboost" else sklearn_model()
    return model.inplace_predict if kind == "xgboost" else model.predict
"""
)
ALL = ("xgboost", "sklearn", "torch")
FLASK = (
    SHARED
    + """
import io
import pandas as pd
from flask import Flask, Response, request
app = Flask("peer")
KIND = os.environ["BENCH_KIND"]
model = xgboost_model() if KIND == "xgboost" else None
score = predictor(KIND)
@app.route("/ping")
def ping():
    return "\\n"
@app.route("/invocations", methods=["POST"])
def invocations():
    rows = pd.read_csv(io.StringIO(request.data.decode("utf-8")), header=None)
    if KIND == "xgboost":
        import xgboost
        found = model.predict(xgboost.DMatrix(rows.to_numpy(np.float32), nthread=THREADS))
    else:
        found = score(rows.to_numpy())
    out = io.StringIO()
    pd.DataFrame({"results": found}).to_csv(out, header=False, index=False)
    return Response(out.getvalue(), mimetype="text/csv")
"""
)
LITSERVE = (
    SHARED
    + """
import litserve as ls
class Api(ls.LitAPI):
    def setup(self, device):
        self.score = predictor(os.environ["BENCH_KIND"])
    def decode_request(self, request):
        return np.asarray(request["instances"], np.float32)
    def predict(self, rows):
        return self.score(rows)
    def encode_response(self, found):
        return {"predictions": found.tolist()}
if __name__ == "__main__":
    server = ls.LitServer(Api(), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[1]), host="127.0.0.1", log_level="error", generate_client_file=False,
               access_log=False)
"""
)
BENTOML = (
    SHARED
    + """
import bentoml
@bentoml.service(workers=1, traffic={"timeout": 30})
class Peer:
    def __init__(self) -> None:
        self.score = predictor(os.environ["BENCH_KIND"])
    @bentoml.api
    def predict(self, instances: np.ndarray) -> np.ndarray:
        return self.score(np.asarray(instances, np.float32))
"""
)
MLSERVER = (
    SHARED
    + """
import json, joblib
from pathlib import Path
kind, port, where = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
where.mkdir(parents=True, exist_ok=True)
uri = "model.json" if kind == "xgboost" else "model.joblib"
if kind == "xgboost":
    (where / uri).write_bytes(open(ROOT + "/model.json", "rb").read())
else:
    joblib.dump(sklearn_model(), where / uri)
runtime = "mlserver_xgboost.XGBoostModel" if kind == "xgboost" else "mlserver_sklearn.SKLearnModel"
(where / "model-settings.json").write_text(json.dumps(
    {"name": "m", "implementation": runtime, "parameters": {"uri": "./" + uri}}))
(where / "settings.json").write_text(json.dumps(
    {"debug": False, "host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2,
     "parallel_workers": 0}))
binary = os.path.join(os.path.dirname(sys.executable), "mlserver")
os.execv(binary, [binary, "start", str(where)])
"""
)
MLFLOW = (
    SHARED
    + """
import mlflow
from pathlib import Path
kind, port, where = sys.argv[1], sys.argv[2], sys.argv[3]
if not Path(where).exists():
    if kind == "xgboost":
        import mlflow.xgboost
        mlflow.xgboost.save_model(xgboost_model(), where)
    else:
        import mlflow.sklearn
        mlflow.sklearn.save_model(sklearn_model(), where, serialization_format="cloudpickle")
binary = os.path.join(os.path.dirname(sys.executable), "mlflow")
os.environ["PATH"] = os.path.dirname(sys.executable) + ":" + os.environ["PATH"]
os.execv(binary, [binary, "models", "serve", "-m", where, "-p", port, "-h", "127.0.0.1",
                  "--env-manager", "local", "-w", "1"])
"""
)
RAY = (
    SHARED
    + """
import ray, time
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse
@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 1}, max_ongoing_requests=64)
class Peer:
    def __init__(self):
        self.score = predictor(os.environ["BENCH_KIND"])
    async def __call__(self, request: Request):
        rows = np.asarray((await request.json())["instances"], np.float32)
        return JSONResponse({"predictions": self.score(rows).tolist()})
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
serve.run(Peer.bind(), route_prefix="/predict")
while True:
    time.sleep(3600)
"""
)
JAVA = (
    SHARED
    + """
import subprocess
from pathlib import Path
kind, port, where, server = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
folder, store = Path(sys.executable).parent, where / "store"
is_torch = server == "torchserve"
for each in (where / "code", store):
    each.mkdir(parents=True, exist_ok=True)
handler = where / "code/handler.py"
handler.write_text(Path(__file__).with_name("handler.py").read_text())
archiver = folder / ("torch-model-archiver" if is_torch else "model-archiver")
given = (["--version", "1", "--handler", str(handler)] if is_torch
         else ["--model-path", str(handler.parent), "--handler", "handler:handle"])
os.environ["PATH"] = str(folder) + ":" + os.environ["PATH"]
subprocess.run(
    [sys.executable, str(archiver), "--model-name", "m", *given, "--export-path", str(store), "--force"],
    check=True)
words = ("inference", "management", "metrics")
lines = [f"{word}_address=http://127.0.0.1:{port + n}" for n, word in enumerate(words)]
lines += ["default_workers_per_model=1", "disable_token_authorization=true", "enable_metrics_api=false",
          "job_queue_size=1000"]
(where / "config.properties").write_text("\\n".join(lines))
given = (["--ts-config", str(where / "config.properties"), "--ncs", "--disable-token-auth"] if is_torch
         else ["--mms-config", str(where / "config.properties")])
os.execv(sys.executable, [sys.executable, str(folder / server), "--start", "--foreground",
                          "--model-store", str(store), "--models", "m=m.mar", *given])
"""
)
HANDLER = (
    SHARED
    + """
import json
score = None
def handle(data, context):
    global score
    if score is None:
        score = predictor(os.environ["BENCH_KIND"])
    if data is None:
        return None
    bodies = [each.get("body") for each in data]
    asked = [body if isinstance(body, dict) else json.loads(bytes(body)) for body in bodies]
    return [json.dumps({"predictions": score(np.asarray(each["instances"], np.float32)).tolist()})
            for each in asked]
"""
)
PEERS = (
    Peer(
        name="gunicorn + Flask + pandas",
        kinds=ALL,
        requirements=("flask", "gunicorn", "gevent", "packaging", "pandas", "xgboost-cpu", "scikit-learn"),
        program=FLASK,
        command=(
            "{bin}/gunicorn", "-k", "gevent", "-w", "2", "-b", "127.0.0.1:{port}", "--chdir", "{home}",
            "program:app", "--log-level", "error",
        ),
        path="/invocations",
        content_type="text/csv",
        body="{row}",
    ),
    Peer(
        name="LitServe",
        kinds=ALL,
        requirements=("litserve", "xgboost-cpu", "scikit-learn"),
        program=LITSERVE,
        command=("{python}", "{program}", "{port}"),
    ),
    Peer(
        name="MLServer",
        requirements=("mlserver", "mlserver-xgboost", "mlserver-sklearn"),
        program=MLSERVER,
        command=("{python}", "{program}", "{kind}", "{port}", "{home}/served-{kind}"),
        path="/v2/models/m/infer",
        body='{{"inputs": [{{"name": "x", "shape": [1, 30], "datatype": "FP32", "data": [{row}]}}]}}',
    ),
    Peer(
        name="BentoML",
        kinds=ALL,
        requirements=("bentoml", "xgboost-cpu", "scikit-learn"),
        program=BENTOML,
        command=("{bin}/bentoml", "serve", "program:Peer", "--working-dir", "{home}", "-p", "{port}",
                 "--host", "127.0.0.1"),
        environment={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Peer(
        name="mlflow models serve",
        requirements=("mlflow", "xgboost-cpu", "scikit-learn"),
        program=MLFLOW,
        command=("{python}", "{program}", "{kind}", "{port}", "{home}/served-{kind}"),
        path="/invocations",
        body='{{"inputs": [[{row}]]}}',
    ),
    Peer(
        name="Ray Serve",
        requirements=("ray[serve]", "xgboost-cpu", "scikit-learn"),
        program=RAY,
        command=("{python}", "{program}", "{port}"),
        environment={"RAY_USAGE_STATS_ENABLED": "0"},
    ),
    *(
        Peer(
            name=name,
            kinds=ALL if binary == "torchserve" else ALL[:2],
            requirements=(binary, *needs, "setuptools<81", "xgboost-cpu", "scikit-learn"),
            program=JAVA,
            beside={"handler.py": HANDLER},
            needs="java",
            command=("{python}", "{program}", "{kind}", "{port}", "{home}/served-{kind}", binary),
            path="/predictions/m",
                )
        for name, binary, needs in (
            ("TorchServe", "torchserve", ("torch-model-archiver", "torch==2.13.0", "pyyaml", "captum")),
            ("multi-model-server", "multi-model-server", ("model-archiver",)),
        )
    ),
)  # fmt: skip
