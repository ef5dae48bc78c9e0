"""What bench/load.py asks: endpoints whose models say which version of them answered."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xgboost
from bench._clients import STEP, Target

from clary.kernel import ids
from clary.testing.hosting import Hosting
from clary.testing.jobs import XGBOOST, pack, wait_for_endpoint

N_VERSIONS = 4
N_BODIES, N_FEATURES = 32, 8
LINEAR = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"
SCRIPT = """
import os
from pathlib import Path

def model_fn(model_dir):
    return float((Path(model_dir) / "version").read_text())

def transform_fn(model, data, content_type, accept):
    text = data if isinstance(data, str) else data.decode()
    return repr(float(text) + model), "text/csv"
"""


@dataclass
class Site:
    """One endpoint: a configuration for each version, and what is known of its life."""

    kind: str
    target: Target
    configs: list[str]
    version: int = 0
    is_sized: bool = False
    """Whether its instances can be counted up and down."""
    changes: list[tuple[float, float, int, int]] = field(default_factory=list)
    """Begun, settled, from which version, to which."""

    def allowed(self, sent: float, done: float) -> set[int]:
        """Return the versions that may answer a question in flight from `sent` to `done`."""
        found = {self.version} if not self.changes or done >= self.changes[-1][1] else set()
        for number, (begun, settled, old, new) in enumerate(self.changes):
            before = self.changes[number - 1][1] if number else 0.0
            if sent < begun and done > before:
                found.add(old)
            if sent < settled and done > begun:
                found |= {old, new}
        if self.changes and done >= self.changes[-1][1]:
            found.add(self.changes[-1][3])
        return found


def xgboost_models() -> tuple[list[str], list[float], list[dict[str, bytes]]]:
    """Return bodies, what version 0 says of them, and every version's files."""
    draw = np.random.default_rng(11)
    rows = draw.normal(size=(500, N_FEATURES)).astype(np.float32)
    labels = rows[:, :3].sum(axis=1)
    boosters = [
        xgboost.train(
            {"objective": "reg:squarederror", "max_depth": 4, "base_score": version * STEP, "nthread": 1},
            xgboost.DMatrix(rows, labels + version * STEP),
            20,
        )
        for version in range(N_VERSIONS)
    ]
    bodies = [",".join(f"{value:.6g}" for value in row) for row in rows[:N_BODIES]]
    asked = np.array([list(map(float, body.split(","))) for body in bodies], np.float32)
    says = [float(each) for each in boosters[0].inplace_predict(asked)]
    return bodies, says, [{"xgboost-model": bytes(each.save_raw("ubj"))} for each in boosters]


def linear_models() -> tuple[list[str], list[float], list[dict[str, bytes]]]:
    """Return the same of a linear model."""
    import io  # noqa: PLC0415 - here alone

    draw = np.random.default_rng(12)
    weight = draw.normal(size=(1, N_FEATURES)).astype(np.float32)
    rows = draw.normal(size=(N_BODIES, N_FEATURES))
    bodies = [",".join(f"{value:.6g}" for value in row) for row in rows]
    asked = np.array([list(map(float, body.split(","))) for body in bodies], np.float32)
    files = []
    for version in range(N_VERSIONS):
        stream = io.BytesIO()
        np.savez(
            stream,
            weight=weight,
            bias=np.array([version * STEP], np.float32),
            threshold=0.0,
            predictor_type="regressor",
            loss="squared_loss",
        )
        files.append({"model_algo-1": stream.getvalue()})
    return bodies, [float(each) for each in asked @ weight[0]], files


def script_models() -> tuple[list[str], list[float], list[dict[str, bytes]]]:
    """Return the same of a script that adds its version to what it is asked."""
    says = [round(number / 7.0, 6) for number in range(N_BODIES)]
    files = [
        {"code/inference.py": SCRIPT.encode(), "version": str(version * STEP).encode()}
        for version in range(N_VERSIONS)
    ]
    return [str(each) for each in says], says, files


class Sites:
    """All endpoints of one load."""

    def __init__(self, hosting: Hosting, share: float) -> None:
        self._hosting = hosting
        self._share = share
        forest, linear, script = xgboost_models(), linear_models(), script_models()
        capture = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{hosting.bucket}/captured",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        }
        waiting = {
            "OutputConfig": {
                "S3OutputPath": f"s3://{hosting.bucket}/answers",
                "S3FailurePath": f"s3://{hosting.bucket}/failures",
            }
        }
        two = {"InstanceType": "ml.t2.medium", "InitialInstanceCount": 2}
        one = {**two, "InitialInstanceCount": 1}
        serverless = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 50}}
        self.all = [
            self._site("xgboost", XGBOOST, forest, two, n_lines=16, rate=1500.0, is_sized=True),
            self._site("linear", LINEAR, linear, one, n_lines=16, rate=1000.0),
            self._site("script", "", script, two, n_lines=8, rate=300.0, is_sized=True),
            self._site("captured", XGBOOST, forest, one, n_lines=4, rate=150.0, DataCaptureConfig=capture),
            self._site("serverless", XGBOOST, forest, serverless, n_lines=4, rate=150.0),
            self._site("asynchronous", "", script, one, n_lines=0, rate=5.0, AsyncInferenceConfig=waiting),
        ]
        for site in self.all:
            described = wait_for_endpoint(hosting.account, site.target.name, limit_s=120)
            assert described["EndpointStatus"] == "InService", described.get("FailureReason")

    def _site(
        self,
        kind: str,
        image: str,
        models: tuple[list[str], list[float], list[dict[str, bytes]]],
        size: dict[str, Any],
        *,
        n_lines: int,
        rate: float,
        is_sized: bool = False,
        **members: Any,
    ) -> Site:
        """Create models, configurations and the endpoint."""
        bodies, says, versions = models
        configs = [self._config(image, files, size, members) for files in versions]
        name = f"load-{kind}-{ids.short()}"
        self._hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=configs[0])
        self._hosting.endpoints.append(name)
        target = Target(name, bodies, says, n_lines, rate * self._share, N_VERSIONS)
        return Site(kind, target, configs, is_sized=is_sized)

    def _config(
        self, image: str, files: dict[str, bytes], size: dict[str, Any], members: dict[str, Any]
    ) -> str:
        hosting, key = self._hosting, f"models/{ids.short()}/model.tar.gz"
        hosting.account.client("s3").put_object(Bucket=hosting.bucket, Key=key, Body=pack(dict(files)))
        container: dict[str, Any] = {"Image": image, "ModelDataUrl": f"s3://{hosting.bucket}/{key}"}
        if not image:
            container = hosting.container(SCRIPT) | {"ModelDataUrl": container["ModelDataUrl"]}
        model = f"model-{ids.short()}"
        hosting.sagemaker.create_model(
            ModelName=model, PrimaryContainer=container, ExecutionRoleArn=hosting.account.role_arn
        )
        return hosting.config({"VariantName": "AllTraffic", "ModelName": model, **size}, **members)
