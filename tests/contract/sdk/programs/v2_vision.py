"""SDK v2's plain Estimator with the algorithms of images, as documented; each function answers as JSON."""

import io
import json
import struct
import time

import boto3
import numpy as np
import sagemaker
from PIL import Image
from sagemaker import image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import IdentitySerializer

session = sagemaker.Session()
client = boto3.client("sagemaker")
s3 = boto3.client("s3")
bucket = session.default_bucket()
SIDE = 24


def picture(kind, seed):
    """Return a PNG: dark, bright at the left, or bright at the right."""
    pixels = np.random.default_rng(seed).integers(0, 60, (SIDE, SIDE, 3)).astype(np.uint8)
    if kind:
        half = slice(0, SIDE // 2) if kind == 1 else slice(SIDE // 2, SIDE)
        pixels[:, half] += 150
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def packed(labels):
    """Return RecordIO of images, as im2rec writes it."""
    found = b""
    for place, label in enumerate(labels):
        payload = struct.pack("<IfQQ", 0, label, place, 0) + picture(label, place)
        found += struct.pack("<II", 0xCED7230A, len(payload)) + payload + b"\0" * (-len(payload) % 4)
    return found


def finished(describe, **key):
    """Wait in short steps for a job; return its description."""
    for _ in range(6000):
        found = describe(**key)
        status = found.get("TrainingJobStatus") or found["TransformJobStatus"]
        if status in {"Completed", "Failed", "Stopped"}:
            assert status == "Completed", found["FailureReason"]
            return found
        time.sleep(0.1)
    raise TimeoutError(key)


def estimator(**given):
    """Return an Estimator of Image Classification."""
    common = {
        "num_classes": 3,
        "num_training_samples": 48,
        "num_layers": 20,
        "image_shape": f"3,{SIDE},{SIDE}",
        "mini_batch_size": 8,
        "learning_rate": 0.02,
        "epochs": 3,
    }
    image = image_uris.retrieve("image-classification", session.boto_region_name)
    role = sagemaker.get_execution_role()
    return Estimator(
        image, role, 1, "ml.m5.large", hyperparameters={**common, **given}, sagemaker_session=session
    )


def fit(trained, channels):
    """Train; return the final metrics."""
    trained.fit(channels, wait=False)
    found = finished(client.describe_training_job, TrainingJobName=trained.latest_training_job.name)
    return {each["MetricName"]: each["Value"] for each in found["FinalMetricDataList"]}


def image_classification():
    """Train on RecordIO, deploy, ask, transform, go on from the model."""
    for name in ("train", "validation"):
        body = packed([place % 3 for place in range(48)])
        s3.put_object(Bucket=bucket, Key=f"vision/{name}/images.rec", Body=body)
    channels = {
        name: TrainingInput(f"s3://{bucket}/vision/{name}/", content_type="application/x-recordio")
        for name in ("train", "validation")
    }
    trained = estimator()
    metrics = fit(trained, channels)
    asked = [picture(kind, 100 + kind) for kind in range(3)]
    predictor = trained.deploy(
        1, "ml.m5.large", wait=False, serializer=IdentitySerializer("application/x-image")
    )
    try:
        session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
        answers = [json.loads(predictor.predict(each)) for each in asked]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()
    for kind, body in enumerate(asked):
        s3.put_object(Bucket=bucket, Key=f"vision/asked/{kind}.png", Body=body)
    transformer = trained.transformer(1, "ml.m5.large", accept="application/jsonlines")
    transformer.transform(f"s3://{bucket}/vision/asked/", content_type="application/x-image", wait=False)
    finished(client.describe_transform_job, TransformJobName=transformer.latest_transform_job.name)
    prefix = transformer.output_path.partition(f"{bucket}/")[2]
    lines = [s3.get_object(Bucket=bucket, Key=f"{prefix}/{kind}.png.out")["Body"].read() for kind in range(3)]
    model = TrainingInput(trained.model_data, content_type="application/x-sagemaker-model", input_mode="File")
    again = fit(estimator(epochs=1, learning_rate=0.0001), {**channels, "model": model})
    return {
        "metrics": metrics,
        "answers": answers,
        "transformed": [json.loads(each)["prediction"] for each in lines],
        "again": again,
    }


def augmented_manifest():
    """Train through Pipe on images that a manifest names, with labels in it."""
    lines = []
    for place in range(12):
        key = f"manifest/{place}.png"
        s3.put_object(Bucket=bucket, Key=key, Body=picture(place % 3, place))
        lines.append(json.dumps({"source-ref": f"s3://{bucket}/{key}", "class": str(place % 3)}))
    s3.put_object(Bucket=bucket, Key="manifest.json", Body="\n".join(lines))
    channel = TrainingInput(
        f"s3://{bucket}/manifest.json",
        content_type="application/x-recordio",
        s3_data_type="AugmentedManifestFile",
        attribute_names=["source-ref", "class"],
        record_wrapping="RecordIO",
        input_mode="Pipe",
    )
    return fit(estimator(epochs=1, num_training_samples=12), {"train": channel, "validation": channel})
