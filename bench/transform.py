"""Batch transform: 1,000,000 rows x 30 of CSV through XGBoost, from and to the object store.

    python -m bench.transform [--rows 1000000] [--rounds 5] [--only onepass,payloads,memory,ray] [--json FILE]

Beside it, in turns and through the same object store: the script that one would write instead
(`bench/_onepass.py`), the classic container (gunicorn, Flask, pandas, DMatrix) that is up already and asked
payload by payload (`bench/_classic.py`), and Ray Data, both in environments of their own. Jobs are timed from
the CreateTransformJob call to the Describe that shows Completed; scripts after their imports, the one-pass
script from its start, too.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from bench import _peers
from bench._bars import Report, quantile
from bench._memory import sampled
from bench._peer_list import PEERS
from bench.control import running

from clary.kernel import ids
from clary.testing.jobs import XGBOOST, pack, read_object, training_request, upload_csv, wait_for_job
from clary.testing.server import Account, ClaryServer
from clary.testing.transform import script_container

ROWS, COLUMNS, TREES = 1_000_000, 30, 100
BLOCK_ROWS = 50_000
"""The object is one block of rows over and over: making text takes longer than all else here."""
POLL_S = 0.1
"""More often, and the control plane takes what the job needs: there are two cores."""
PARTS = ("onepass", "payloads", "memory", "pipeline", "ray")
SCRIPT = """
import io, os
import pandas as pd, xgboost

def model_fn(folder):
    return xgboost.Booster(model_file=os.path.join(folder, "xgboost-model.ubj"))

def input_fn(body, content_type):
    return xgboost.DMatrix(pd.read_csv(io.StringIO(body), header=None))

def predict_fn(rows, model):
    return model.predict(rows, validate_features=False)

def output_fn(scores, accept):
    return "\\n".join(map(str, scores.tolist())) + "\\n", "text/csv"
"""
"""Of the open XGBoost container: text to a frame, to a matrix, to text."""
SCALE = """
import io
import pandas as pd

def model_fn(folder):
    return 0.5

def transform_fn(model, body, content_type, accept):
    rows = pd.read_csv(io.StringIO(body), header=None) * model
    return rows.to_csv(header=False, index=False), "text/csv"
"""
"""A first container, as features are made there."""
RAY = Path("build/bench/ray")
RAY_PACKAGES = ("ray[data]>=2.40", "xgboost-cpu>=3.0", "pyarrow>=18", "pandas>=2.2")


def main() -> int:
    """Measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    parts = chosen.only.split(",")
    report = Report("transform")
    home = Path(tempfile.mkdtemp(prefix="clary-bench-"))
    home.chmod(0o711)  # jobs of other user ids pass
    try:
        with running(home) as (server, account):
            bench = Bench(server, account, home, chosen.rows)
            if "onepass" in parts:
                bench.onepass(report, chosen.rounds)
            if "payloads" in parts:
                bench.payloads(report, chosen.rounds)
            if "memory" in parts:
                bench.memory(report)
            if "pipeline" in parts:
                bench.pipeline(report, chosen.rounds)
            if "ray" in parts:
                bench.ray(report)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return report.finish(chosen.json)


class Bench:
    """A trained model and its data, in one account."""

    def __init__(self, server: ClaryServer, account: Account, home: Path, n_rows: int) -> None:
        self.server, self.account, self.home, self.n_rows = server, account, home, n_rows
        rng = np.random.default_rng(7)
        rows = rng.normal(size=(20_000, COLUMNS))
        label = rows[:, :5].sum(axis=1) + rng.normal(size=len(rows)) > 0
        self.bucket = upload_csv(account, "train/data.csv", np.column_stack([label, rows]))
        rounds = {"num_round": str(TREES), "objective": "binary:logistic", "max_depth": "6"}
        request = training_request(account, self.bucket, hyperparameters=rounds)
        account.client("sagemaker").create_training_job(**request)
        described = wait_for_job(account, request["TrainingJobName"], limit_s=300)
        assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
        self.artefact = described["ModelArtifacts"]["S3ModelArtifacts"]
        self.create_model("builtin", self.artefact)
        text = io.StringIO()
        np.savetxt(text, rng.normal(size=(BLOCK_ROWS, COLUMNS)), delimiter=",", fmt="%.6g")
        self.block = text.getvalue().encode()
        self.upload("in/rows.csv", n_rows)
        self.settings = self._settings()
        self.megabytes = len(self.block) * (n_rows / BLOCK_ROWS) / 1e6

    def create_model(self, name: str, artefact: str, **environment: str) -> None:
        """Create a model of the XGBoost image."""
        self.create_row(name, {"Image": XGBOOST, "ModelDataUrl": artefact, "Environment": environment})

    def create_row(self, name: str, *containers: dict[str, Any]) -> None:
        """Create a model of one container, or of several in a row."""
        given = (
            {"Containers": list(containers)} if len(containers) > 1 else {"PrimaryContainer": containers[0]}
        )
        client = self.account.client("sagemaker")
        client.create_model(ModelName=name, ExecutionRoleArn=self.account.role_arn, **given)

    def upload(self, key: str, n_rows: int) -> None:
        """Upload an object of so many rows."""
        path = self.home / "rows.csv"
        with path.open("wb") as file:
            for _ in range(n_rows // BLOCK_ROWS):
                file.write(self.block)
        self.account.client("s3").upload_file(str(path), self.bucket, key)
        path.unlink()

    def job_s(self, model: str, *, key: str = "in/rows.csv", out: str = "out", **members: Any) -> float:
        """Run one job; return the seconds until it is seen Completed."""
        client, name = self.account.client("sagemaker"), f"job-{ids.short()}"
        uri = f"s3://{self.bucket}/{key}"
        request = {
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
                "ContentType": "text/csv",
                "SplitType": "Line",
            },
            "TransformOutput": {"S3OutputPath": f"s3://{self.bucket}/{out}", "AssembleWith": "Line"},
            "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
            **members,
        }
        began = time.perf_counter()
        client.create_transform_job(TransformJobName=name, ModelName=model, **request)
        while True:
            described = client.describe_transform_job(TransformJobName=name)
            if described["TransformJobStatus"] != "InProgress":
                break
            time.sleep(POLL_S)
        took = time.perf_counter() - began
        assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
        return took

    def _settings(self) -> Path:
        """Return the file that tells a script where everything is."""
        folder = self.home / "model"
        with tarfile.open(fileobj=io.BytesIO(read_object(self.account, self.artefact))) as archive:
            archive.extractall(folder, filter="data")
        (folder / "xgboost-model").rename(folder / "model.ubj")
        path = self.home / "settings.json"
        settings = {
            "endpoint": self.server.url.removeprefix("http://"),
            "access_key": self.account.access_key_id,
            "secret_key": self.account.secret_access_key,
            "source": f"{self.bucket}/in/rows.csv",
            "target": f"{self.bucket}/script/rows.csv.out",
            "model": str(folder / "model.ubj"),
        }
        path.write_text(json.dumps(settings))
        return path

    def onepass(self, report: Report, rounds: int) -> None:
        """Measure the job against the script, in turns."""
        jobs, scripts, warms = [], [], []
        self.job_s("builtin")
        for _ in range(rounds):
            jobs.append(self.job_s("builtin"))
            began = time.perf_counter()
            warms.append(self._script_s("bench._onepass"))
            scripts.append(time.perf_counter() - began)
        self._same_scores()
        job, script, warm = (quantile(each, 0.5) for each in (jobs, scripts, warms))
        rows = [
            (name, took, self.n_rows / took / 1000, f"{warm / took:.2f} x")
            for name, took in (
                ("job, Create to Completed", job),
                ("script, from its start", script),
                ("script, after its imports", warm),
            )
        ]
        head = ("median", "s", "1000 rows/s", "of the script after its imports")
        report.table(f"{self.n_rows:,} rows x {COLUMNS}, {self.megabytes:.0f} MB of CSV", head, rows)
        report.facts["seconds"] = {"job": jobs, "script": scripts, "script_after_imports": warms}
        report.bar("time of the job against the script, from its start", job / script, 1 / 0.9, "x")
        report.bar("time of the job against the script after its imports", job / warm, 1 / 0.9, "x")

    def _script_s(self, module: str, **more: Any) -> float:
        """Run a script over the same object; return its seconds after its imports."""
        settings = json.loads(self.settings.read_text()) | more
        path = self.home / "script.json"
        path.write_text(json.dumps(settings))
        done = subprocess.run(
            [sys.executable, "-m", module, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"},
        )
        took, n_rows = done.stdout.split()
        assert int(n_rows) == self.n_rows
        return float(took)

    def _same_scores(self) -> None:
        ours, theirs = (
            np.array(read_object(self.account, f"s3://{self.bucket}/{key}").split(), np.float64)
            for key in ("out/rows.csv.out", "script/rows.csv.out")
        )
        assert len(ours) == self.n_rows
        assert np.abs(ours - theirs).max() < 1e-6

    def payloads(self, report: Report, rounds: int) -> None:
        """Measure the job against the classic container, and a script of ours that is asked as it is."""
        files: dict[str, str | bytes] = {
            "xgboost-model.ubj": (self.home / "model/model.ubj").read_bytes(),
            "code/inference.py": SCRIPT,
        }
        self.account.client("s3").put_object(Bucket=self.bucket, Key="script.tar.gz", Body=pack(files))
        self.create_model("payloads", f"s3://{self.bucket}/script.tar.gz", SAGEMAKER_PROGRAM="inference.py")
        xgboost.Booster(model_file=self.home / "model/model.ubj").save_model(self.home / "model.json")
        threads = str(os.cpu_count())
        classic = replace(PEERS[0], environment={"BENCH_THREADS": threads, "OMP_NUM_THREADS": threads})
        directs, scripts, classics = [], [], []
        with _peers.serving(classic, "xgboost", self.home) as (port, _pid):
            for _ in range(rounds):
                directs.append(self.job_s("builtin"))
                scripts.append(self.job_s("payloads", out="payloads"))
                classics.append(self._script_s("bench._classic", port=port))
        self._same_scores()
        direct, script, took = (quantile(each, 0.5) for each in (directs, scripts, classics))
        rows = [
            (name, each, self.n_rows / each / 1000)
            for name, each in (
                ("direct, Create to Completed", direct),
                ("the container's script in Clary, Create to Completed", script),
                ("gunicorn + Flask + pandas + DMatrix, container and imports warm", took),
            )
        ]
        report.table("Payload by payload, 6 MB each, one at a time", ("", "s", "1000 rows/s"), rows)
        report.facts["payloads_s"] = {"direct": directs, "script": scripts, "classic": classics}
        report.bar("time of the job against the classic container", direct / took, 1 / 4, "x")

    def memory(self, report: Report) -> None:
        """Measure what agent and program hold, at three sizes of the input.

        A quarter is over before all buffers are in use; whether memory grows with the input, shows beyond.
        """
        small = self.n_rows // 4 // BLOCK_ROWS * BLOCK_ROWS or BLOCK_ROWS
        self.upload("small/rows.csv", small)
        self.upload("large/rows.csv", 4 * self.n_rows)
        peaks = {}
        sizes = {small: "small", self.n_rows: "in", 4 * self.n_rows: "large"}
        for n_rows, folder in sizes.items():
            key = f"{folder}/rows.csv"
            with sampled(self.server) as peak:
                self.job_s("builtin", key=key, out="memory")
            peaks[n_rows] = peak[0] / 1e6
        report.table(
            "Memory of agent and program together, peak",
            ("rows", "MB"),
            [(f"{n:,}", mb) for n, mb in peaks.items()],
        )
        report.facts["peak_mb"] = peaks
        report.bar("memory, peak", peaks[self.n_rows], 600, "MB")
        grown = peaks[4 * self.n_rows] / peaks[self.n_rows]
        report.bar("memory at 4 times the input", grown, 1.15, "x")

    def pipeline(self, report: Report, rounds: int) -> None:
        """Measure a script and XGBoost in a row against the two jobs one after the other."""
        n_rows = self.n_rows // 4 // BLOCK_ROWS * BLOCK_ROWS or BLOCK_ROWS
        self.upload("pipeline/rows.csv", n_rows)
        self.upload("pipeline/half.csv", n_rows // 2 // BLOCK_ROWS * BLOCK_ROWS or BLOCK_ROWS)
        script = script_container(self.account, self.bucket, SCALE)
        self.create_row("scale", script)
        self.create_row("row", script, {"Image": XGBOOST, "ModelDataUrl": self.artefact})
        apart, rows, peaks = [], [], []
        for _ in range(rounds):
            first = self.job_s("scale", key="pipeline/rows.csv", out="scaled")
            apart.append(first + self.job_s("builtin", key="scaled/rows.csv.out", out="apart"))
            rows.append(self.job_s("row", key="pipeline/rows.csv", out="row"))
        one, other = (
            read_object(self.account, f"s3://{self.bucket}/{key}")
            for key in ("apart/rows.csv.out.out", "row/rows.csv.out")
        )
        assert one == other, "the row writes other bytes than its stages"
        for key in ("pipeline/half.csv", "pipeline/rows.csv"):
            with sampled(self.server) as peak:
                self.job_s("row", key=key, out="row")
            peaks.append(peak[0] / 1e6)
        took, whole = quantile(rows, 0.5), quantile(apart, 0.5)
        head = ("", "s", "1000 rows/s")
        table = [
            ("in a row, one job", took, n_rows / took / 1000),
            ("two jobs", whole, n_rows / whole / 1000),
        ]
        report.table(f"A script of pandas, then XGBoost: {n_rows:,} rows", head, table)
        report.facts["pipeline_s"] = {"row": rows, "apart": apart, "peak_mb": peaks}
        report.bar("time of a row, of its stages one after the other", took / whole, 1.0, "x")
        report.bar("memory of a row at twice the input", peaks[1] / peaks[0], 1.15, "x")

    def ray(self, report: Report) -> None:
        """Measure the job against Ray Data, if that can be installed."""
        python = ray_python()
        if python is None:
            print("\nRay Data could not be installed here; its bar was not measured.")
            report.facts["ray"] = "not installed"
            return
        path = self.home / "in.csv"
        self.account.client("s3").download_file(self.bucket, "in/rows.csv", str(path))
        program = Path(__file__).with_name("_ray.py")
        before = self.job_s("builtin")
        began = time.perf_counter()
        done = subprocess.run(
            [
                python,
                "-P",
                program,
                str(path),
                str(self.home / "model/model.ubj"),
                str(self.home / "ray-out"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
            cwd=self.home,
        )
        whole = time.perf_counter() - began
        assert done.returncode == 0, done.stderr[-3000:]
        took = float(done.stdout.split()[-1])
        direct = quantile([before, self.job_s("builtin")], 0.5)
        head = ("", "s", "1000 rows/s")
        rows = [
            ("direct", direct, self.n_rows / direct / 1000),
            ("Ray Data, after ray.init, local files", took, self.n_rows / took / 1000),
            ("Ray Data, from its start", whole, self.n_rows / whole / 1000),
        ]
        report.table("Ray Data: read_csv, map_batches with one actor, write_csv", head, rows)
        report.facts["ray_s"] = {"after_init": took, "whole": whole}
        report.bar("time of the job against Ray Data after ray.init", direct / took, 1 / 20, "x")


def ray_python() -> Path | None:
    """Return the Python of Ray's environment, made if need be."""
    python = RAY / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(RAY)], check=True)
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", *RAY_PACKAGES], check=False)
        if done.returncode:
            shutil.rmtree(RAY, ignore_errors=True)
            return None
    return python.absolute()


if __name__ == "__main__":
    sys.exit(main())
