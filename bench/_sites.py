"""Endpoints that bench/serving.py asks: their models, trained here, and how they are asked."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from bench._drive import named, signed, tree

from clary.kernel import ids
from clary.testing.jobs import SCIKIT_LEARN, XGBOOST, new_bucket, pack, wait_for_endpoint
from clary.testing.server import Account, ClaryServer

N_TREES, N_FEATURES, N_ROWS = 100, 30, 2_000
LINEAR = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"
ONE: Mapping[str, Any] = {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
INFERENCE = """
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""


class Deployed:
    """An endpoint of a running Clary."""

    def __init__(self, server: ClaryServer, account: Account, container: dict[str, Any]) -> None:
        self.server = server
        self.account = account
        self.name = endpoint(account, container)
        wait_for_endpoint(account, self.name)
        self.port = int(server.url.rpartition(":")[2])

    @property
    def pids(self) -> set[int]:
        """Processes of the whole Clary, agents and replicas included."""
        return tree(self.server.running.pid, *named(str(self.server.data_dir)))

    def requests(self, row: str) -> list[bytes]:
        """Return requests for one row."""
        return signed(self.account, self.name, row.encode(), "text/csv")


def make_models(home: Path) -> None:
    """Train the XGBoost model of the peers report, and leave the rows for those who train themselves."""
    draw = np.random.default_rng(7)
    features = draw.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    labels = features[:, :5].sum(axis=1) + draw.normal(size=N_ROWS) > 0
    np.save(home / "rows.npy", np.column_stack([labels, features]).astype(np.float32))
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 6, "nthread": 2},
        xgboost.DMatrix(features, labels),
        N_TREES,
    )
    booster.save_model(home / "model.json")


def xgboost_container(account: Account, home: Path) -> dict[str, Any]:
    """Upload the XGBoost model; return its container."""
    booster = xgboost.Booster(model_file=home / "model.json")
    uri = upload(account, {"xgboost-model": bytes(booster.save_raw("ubj"))})
    return {"Image": XGBOOST, "ModelDataUrl": uri}


def logistic(home: Path) -> Any:
    """Train the logistic regression of the peers."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - half a second

    rows = np.load(home / "rows.npy")
    return LogisticRegression().fit(rows[:, 1:], rows[:, 0])


def linear_container(account: Account, home: Path) -> dict[str, Any]:
    """Upload the logistic regression as a built-in linear learner; return its container."""
    model, stream = logistic(home), io.BytesIO()
    np.savez(
        stream,
        weight=model.coef_.astype(np.float32),
        bias=model.intercept_.astype(np.float32),
        threshold=0.5,
        predictor_type="binary_classifier",
        loss="logistic",
    )
    return {"Image": LINEAR, "ModelDataUrl": upload(account, {"model_algo-1": stream.getvalue()})}


def sklearn_container(account: Account, home: Path) -> dict[str, Any]:
    """Upload the logistic regression with a script of one function; return its container."""
    import joblib  # noqa: PLC0415 - with scikit-learn, half a second

    joblib.dump(logistic(home), home / "model.joblib")
    files = {"model.joblib": (home / "model.joblib").read_bytes(), "code/inference.py": INFERENCE}
    return {
        "Image": SCIKIT_LEARN,
        "ModelDataUrl": upload(account, files),
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }


def upload(account: Account, files: dict[str, Any]) -> str:
    """Upload a `model.tar.gz`; return its URI."""
    bucket = new_bucket(account)
    account.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=pack(files))
    return f"s3://{bucket}/model.tar.gz"


def endpoint(
    account: Account,
    container: dict[str, Any],
    begun: list[float] | None = None,
    size: Mapping[str, Any] = ONE,
) -> str:
    """Create an endpoint; note when it was asked for."""
    client, name = account.client("sagemaker"), f"bench-{ids.short()}"
    client.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=account.role_arn)
    variant = {"VariantName": "AllTraffic", "ModelName": name, **size}
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    if begun is not None:
        begun.append(time.perf_counter())
    client.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return name
