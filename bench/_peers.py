"""The servers that a user would choose instead, each in an environment of its own and at its best setting.

Environments are made with `venv` and `pip` below `CLARY_BENCH_CACHE` (by default `~/.cache/clary-bench`),
once. One that cannot be made is reported with its reason.
"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INSTALL_S = 900
START_S = 120.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SHARED = """
import os, sys
import numpy as np
ROOT = os.environ["BENCH_ROOT"]
def xgboost_model():
    import xgboost
    booster = xgboost.Booster()
    booster.load_model(ROOT + "/model.json")
    booster.set_param({"nthread": 1})
    return booster
def sklearn_model():
    from sklearn.linear_model import LogisticRegression
    rows = np.load(ROOT + "/rows.npy")
    return LogisticRegression().fit(rows[:, 1:], rows[:, 0])
"""
FLASK = (
    SHARED
    + """
import io
import pandas as pd
from flask import Flask, Response, request
app = Flask("peer")
KIND = os.environ["BENCH_KIND"]
model = xgboost_model() if KIND == "xgboost" else sklearn_model()
@app.route("/ping")
def ping():
    return "\\n"
@app.route("/invocations", methods=["POST"])
def invocations():
    rows = pd.read_csv(io.StringIO(request.data.decode("utf-8")), header=None)
    if KIND == "xgboost":
        import xgboost
        found = model.predict(xgboost.DMatrix(rows.to_numpy(np.float32), nthread=1))
    else:
        found = model.predict(rows.to_numpy())
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
        self.kind = os.environ["BENCH_KIND"]
        self.model = xgboost_model() if self.kind == "xgboost" else sklearn_model()
    def decode_request(self, request):
        return np.asarray(request["instances"], np.float32)
    def predict(self, rows):
        return self.model.inplace_predict(rows) if self.kind == "xgboost" else self.model.predict(rows)
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
KIND = os.environ["BENCH_KIND"]
@bentoml.service(workers=1, traffic={"timeout": 30})
class Peer:
    def __init__(self) -> None:
        self.model = xgboost_model() if KIND == "xgboost" else sklearn_model()
    @bentoml.api
    def predict(self, instances: np.ndarray) -> np.ndarray:
        rows = np.asarray(instances, np.float32)
        return self.model.inplace_predict(rows) if KIND == "xgboost" else self.model.predict(rows)
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
KIND = os.environ["BENCH_KIND"]
@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 1}, max_ongoing_requests=64)
class Peer:
    def __init__(self):
        self.model = xgboost_model() if KIND == "xgboost" else sklearn_model()
    async def __call__(self, request: Request):
        rows = np.asarray((await request.json())["instances"], np.float32)
        found = self.model.inplace_predict(rows) if KIND == "xgboost" else self.model.predict(rows)
        return JSONResponse({"predictions": found.tolist()})
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
serve.run(Peer.bind(), route_prefix="/predict")
while True:
    time.sleep(3600)
"""
)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One server."""

    name: str
    requirements: tuple[str, ...]
    program: str
    command: tuple[str, ...]
    """`{python}`, `{bin}`, `{program}`, `{port}`, `{kind}` and `{home}` are filled in."""
    path: str
    content_type: str
    body: str
    """`{row}` is filled in: the row's numbers with commas between."""
    environment: Mapping[str, str] = field(default_factory=dict)


PEERS = (
    Peer(
        name="gunicorn + Flask + pandas",
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
        requirements=("litserve", "xgboost-cpu", "scikit-learn"),
        program=LITSERVE,
        command=("{python}", "{program}", "{port}"),
        path="/predict",
        content_type="application/json",
        body='{{"instances": [[{row}]]}}',
    ),
    Peer(
        name="MLServer",
        requirements=("mlserver", "mlserver-xgboost", "mlserver-sklearn"),
        program=MLSERVER,
        command=("{python}", "{program}", "{kind}", "{port}", "{home}/served-{kind}"),
        path="/v2/models/m/infer",
        content_type="application/json",
        body='{{"inputs": [{{"name": "x", "shape": [1, 30], "datatype": "FP32", "data": [{row}]}}]}}',
    ),
    Peer(
        name="BentoML",
        requirements=("bentoml", "xgboost-cpu", "scikit-learn"),
        program=BENTOML,
        command=("{bin}/bentoml", "serve", "program:Peer", "--working-dir", "{home}", "-p", "{port}",
                 "--host", "127.0.0.1"),
        path="/predict",
        content_type="application/json",
        body='{{"instances": [[{row}]]}}',
        environment={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Peer(
        name="mlflow models serve",
        requirements=("mlflow", "xgboost-cpu", "scikit-learn"),
        program=MLFLOW,
        command=("{python}", "{program}", "{kind}", "{port}", "{home}/served-{kind}"),
        path="/invocations",
        content_type="application/json",
        body='{{"inputs": [[{row}]]}}',
    ),
    Peer(
        name="Ray Serve",
        requirements=("ray[serve]", "xgboost-cpu", "scikit-learn"),
        program=RAY,
        command=("{python}", "{program}", "{port}"),
        path="/predict",
        content_type="application/json",
        body='{{"instances": [[{row}]]}}',
        environment={"RAY_USAGE_STATS_ENABLED": "0"},
    ),
)  # fmt: skip
NOT_SET_UP = {
    "TorchServe": "archived in 2025; needs Java and torch",
    "multi-model-server": "archived in 2024; needs Java",
}
"""Named in the bars, not measured by this benchmark, and why."""


class NotInstalledError(Exception):
    """The peer's environment cannot be made; the text says why."""


def cache() -> Path:
    """Return the folder of the environments."""
    return Path(os.environ.get("CLARY_BENCH_CACHE") or Path("~/.cache/clary-bench").expanduser())


def installed(peer: Peer) -> Path:
    """Return the folder of a peer's environment, made if need be.

    Raises
    ------
    NotInstalledError
        pip could not.
    """
    name = re.sub(r"[^a-z]+", "-", peer.name.lower())
    mark = hashlib.sha256("\n".join(peer.requirements).encode()).hexdigest()[:12]
    home = cache() / f"{name}-{mark}"
    if (home / ".ready").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    print(f"  making the environment of {peer.name} ...", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, capture_output=True)
        pip = [str(home / "bin/pip"), "install", "-q", "--disable-pip-version-check", *peer.requirements]
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or "").strip().splitlines()
        raise NotInstalledError(lines[-1][:200] if lines else "pip failed") from error
    except (subprocess.TimeoutExpired, OSError) as error:
        raise NotInstalledError(str(error)[:200]) from error
    (home / ".ready").touch()
    return home


@contextlib.contextmanager
def serving(peer: Peer, kind: str, root: Path) -> Iterator[tuple[int, int]]:
    """Run a peer; yield its port and its process id once it answers.

    Raises
    ------
    NotInstalledError
        It cannot be installed, or does not start.
    """
    environment = installed(peer)
    home = root / re.sub(r"[^a-z]+", "-", f"{peer.name.lower()}-{kind}")
    home.mkdir(parents=True, exist_ok=True)
    program = home / "program.py"
    program.write_text(peer.program)
    port = _free_port()
    words = {"python": environment / "bin/python", "bin": environment / "bin", "program": program,
             "port": port, "kind": kind, "home": home}  # fmt: skip
    log = home / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.format(**words) for part in peer.command],
            cwd=home,
            env=os.environ | ONE_THREAD | peer.environment | {"BENCH_ROOT": str(root), "BENCH_KIND": kind},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _await(process, port, log)
        yield port, process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def request(peer: Peer, port: int, row: Sequence[float]) -> bytes:
    """Return the request that asks for one row."""
    body = peer.body.format(row=",".join(f"{value:.6g}" for value in row)).encode()
    head = (
        f"POST {peer.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\nContent-Type: "
        f"{peer.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 60000:
            return port


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            time.sleep(2.0)  # a server that listens may still load its model
            return
        time.sleep(0.2)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise NotInstalledError(f"it does not start: {lines[-1][:200] if lines else 'no word'}")
