"""Batch transform of SDK v2; each function answers what it saw, as JSON."""

import contextlib
import io
import time

import boto3
import numpy as np
from sagemaker.estimator import Estimator
from sagemaker.inputs import BatchDataCaptureConfig, TrainingInput
from sagemaker.sklearn import SKLearnModel
from sagemaker.transformer import Transformer
from v2 import HERE, features, fit, image_uris, region, session, train_data

client = boto3.client("sagemaker")


def upload(rows, name):
    """Upload rows as CSV; return their URI."""
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    return session.upload_string_as_file_body(text, session.default_bucket(), f"batch/{name}", None)


def wait(transformer):
    """Wait in shorter steps than the SDK does."""
    name = transformer.latest_transform_job.name
    for _ in range(1200):
        described = client.describe_transform_job(TransformJobName=name)
        if described["TransformJobStatus"] in {"Completed", "Failed", "Stopped"}:
            return described
        time.sleep(0.1)
    raise TimeoutError(name)


def output(transformer, name):
    bucket, _, prefix = transformer.output_path.removeprefix("s3://").partition("/")
    key = "/".join(filter(None, [prefix.strip("/"), f"{name}.out"]))
    return session.read_s3_file(bucket, key)


def built_in():
    """Train, make a transformer of the estimator, keep an id column from the model and join it again."""
    estimator = Estimator(
        image_uris.retrieve("xgboost", region, "1.7-1"),
        session.get_caller_identity_arn(),
        instance_count=1,
        instance_type="ml.m5.large",
        hyperparameters={"objective": "binary:logistic", "num_round": 20},
        sagemaker_session=session,
    )
    fit(estimator, train=TrainingInput(train_data(), content_type="text/csv"))
    transformer = estimator.transformer(
        instance_count=1,
        instance_type="ml.m5.large",
        strategy="MultiRecord",
        assemble_with="Line",
        accept="text/csv",
        max_payload=6,
    )
    rows = [[f"id{n}", *row] for n, row in enumerate(features[:50].round(4).tolist())]
    data = upload(rows, "ids.csv")
    transformer.transform(
        data,
        content_type="text/csv",
        split_type="Line",
        input_filter="$[1:]",
        join_source="Input",
        output_filter="$[0,-1]",
        wait=False,
    )
    described = wait(transformer)
    transformer.wait(logs=False)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        session.logs_for_transform_job(described["TransformJobName"], wait=False)
    attached = Transformer.attach(described["TransformJobName"], session)
    lines = [line.split(",") for line in output(transformer, "ids.csv").splitlines()]
    scores = np.array([float(score) for _, score in lines])
    accuracy = float(((scores > 0.5) == (features[:50, 0] + features[:50, 1] > 0)).mean())
    transformer.delete_model()
    return {
        "status": described["TransformJobStatus"],
        "ids": [line[0] for line in lines],
        "accuracy": accuracy,
        "model": described["ModelName"],
        "attached": [attached.model_name, attached.output_path == transformer.output_path],
        "logs": text.getvalue(),
    }


def script():
    """Transform by a model of a customer's own functions, with everything said to the transformer."""
    model = SKLearnModel(
        model_data=None,
        role=session.get_caller_identity_arn(),
        entry_point=str(HERE / "inference/batch.py"),
        framework_version="1.2-1",
        sagemaker_session=session,
    )
    transformer = model.transformer(
        instance_count=2,
        instance_type="ml.m5.large",
        strategy="SingleRecord",
        assemble_with="Line",
        accept="application/json",
        max_concurrent_transforms=2,
        max_payload=1,
        env={"FACTOR": "3"},
        tags=[{"Key": "team", "Value": "a"}],
    )
    data = upload([[n] for n in range(7)], "numbers/part.csv").rpartition("/")[0]
    capture = BatchDataCaptureConfig(f"s3://{session.default_bucket()}/captured")
    transformer.transform(
        data, content_type="text/csv", split_type="Line", batch_data_capture_config=capture, wait=False
    )
    described = wait(transformer)
    keys = session.list_s3_files(session.default_bucket(), "captured/")
    return {
        "status": described["TransformJobStatus"],
        "reason": described.get("FailureReason", ""),
        "output": output(transformer, "part.csv").split()
        if described["TransformJobStatus"] == "Completed"
        else [],
        "captured": sorted(key.split("/")[1] for key in keys),
        "tags": client.list_tags(ResourceArn=described["TransformJobArn"])["Tags"],
    }


def missing_model():
    """Return what the SDK says of a model that does not exist."""
    transformer = Transformer("no-such-model", 1, "ml.m5.large", sagemaker_session=session)
    try:
        transformer.transform(f"s3://{session.default_bucket()}/batch/ids.csv", wait=False)
    except Exception as error:
        return str(error)
    return ""
