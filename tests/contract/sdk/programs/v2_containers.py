"""Scripts of SDK v2 that import what AWS's containers have installed; each function answers what it saw."""

import io
import json
import tarfile
import tempfile
from pathlib import Path

import boto3
import numpy as np
import sagemaker
from sagemaker.deserializers import CSVDeserializer
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer
from sagemaker.sklearn import SKLearn
from sagemaker.xgboost import XGBoost
from v2 import deploy, features, fit, labels, remove, session, train_data

CODE = str(Path(__file__).parents[1] / "containers")
machine = {
    "role": sagemaker.get_execution_role(),
    "instance_type": "ml.m5.large",
    "sagemaker_session": session,
    "source_dir": CODE,
}


def libsvm(parts):
    """Upload the data in so many files; return their URI."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            f"{label} " + " ".join(f"{i}:{value:.6g}" for i, value in enumerate(row))
            for label, row in zip(labels, features, strict=True)
        ]
        for n in range(parts):
            (Path(folder) / f"{n}.libsvm").write_text("\n".join(rows[n::parts]))
        return session.upload_data(folder, key_prefix=f"abalone-{parts}")


def abalone(hosts, parts):
    """Train on `hosts` hosts, of which `parts` have data; ask the endpoint."""
    estimator = XGBoost(
        entry_point="abalone.py",
        framework_version="1.7-1",
        instance_count=hosts,
        hyperparameters={"max_depth": 3, "num_round": 15},
        **machine,
    )
    channel = TrainingInput(libsvm(parts), distribution="ShardedByS3Key", content_type="text/libsvm")
    fit(estimator, train=channel)
    predictor = deploy(estimator, serializer=CSVSerializer(), deserializer=CSVDeserializer())
    scores = np.array(predictor.predict(features.tolist()), dtype=float).ravel()
    remove(predictor)
    return float(((scores > 0.5) == labels).mean())


def featurizer():
    estimator = SKLearn(
        entry_point="featurizer.py",
        framework_version="1.2-1",
        instance_count=1,
        hyperparameters={"n": 5},
        **machine,
    )
    described = fit(estimator, train=train_data())
    predictor = deploy(estimator, serializer=CSVSerializer(), deserializer=CSVDeserializer())
    rows = np.array(predictor.predict(features.tolist()), dtype=float)
    remove(predictor)
    bucket, _, key = described["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    output = key.replace("model.tar.gz", "output.tar.gz")
    body = boto3.client("s3").get_object(Bucket=bucket, Key=output)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        seen = json.load(archive.extractfile("seen.json"))
    return {"mean": float(abs(rows.mean(axis=0)).max()), "name": described["TrainingJobName"], "seen": seen}
