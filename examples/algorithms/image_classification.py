"""Image Classification: 1,797 handwritten digits of scikit-learn, by a residual network of 20 layers.

clary run -- .venvs/sdk2/bin/python examples/algorithms/image_classification.py
"""

import io
import json
import struct
import sys
import tarfile
import tempfile
from pathlib import Path

import boto3
import numpy as np
import onnxruntime
import sagemaker
from PIL import Image
from sagemaker import image_uris
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.parameter import CategoricalParameter
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import IdentitySerializer
from sagemaker.tuner import HyperparameterTuner
from sklearn.datasets import load_digits

# SageMaker trains this on GPUs: give it ml.g4dn.xlarge.
INSTANCE = sys.argv[1] if len(sys.argv) > 1 else "ml.m5.large"
RECORD = "application/x-recordio"
digits = load_digits()
large = digits.images.repeat(4, axis=1).repeat(4, axis=2) * 255 / 16
pictures = np.stack([large.astype("uint8")] * 3, axis=-1)


def png(pixels):
    """Return an image's file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def packed(places):
    """Return images with labels as MXNet's im2rec packs them."""
    found = b""
    for place in places:
        payload = struct.pack("<IfQQ", 0, digits.target[place], place, 0) + png(pictures[place])
        found += struct.pack("<II", 0xCED7230A, len(payload)) + payload + b"\0" * (-len(payload) % 4)
    return found


session = sagemaker.Session()
bucket, prefix = session.default_bucket(), "examples/image-classification"
place, s3 = f"s3://{bucket}/{prefix}", boto3.client("s3")
channels = {}
for channel, places in (("train", range(800)), ("validation", range(800, 1000))):
    s3.put_object(Bucket=bucket, Key=f"{prefix}/{channel}/images.rec", Body=packed(places))
    channels[channel] = TrainingInput(f"{place}/{channel}/", content_type=RECORD)
estimator = Estimator(
    image_uris.retrieve("image-classification", session.boto_region_name),
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type=INSTANCE,
    output_path=f"{place}/models",
    sagemaker_session=session,
    hyperparameters={
        "num_classes": 10,
        "num_training_samples": 800,
        "num_layers": 20,
        "image_shape": "3,32,32",
        "mini_batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 0.003,
        "epochs": 4,
    },
)

# Train, and tune over three optimisers.
estimator.fit(channels)
metrics = estimator.training_job_analytics.dataframe().groupby("metric_name").value.last()
score = metrics["validation:accuracy"]
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="validation:accuracy",
    hyperparameter_ranges={"optimizer": CategoricalParameter(["sgd", "nag", "adam"])},
    strategy="Grid",
    max_jobs=3,
    max_parallel_jobs=2,
)
tuner.fit(channels)
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
best = tuner.best_estimator()

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it: an image a request.
    asked = range(1777, 1797)
    predictor = best.deploy(
        1,
        "ml.m5.large",
        serializer=IdentitySerializer("application/x-image"),
        deserializer=JSONDeserializer(),
    )
    try:
        answers = [predictor.predict(png(pictures[number])) for number in asked]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a folder of images: an answer for each.
    for number in asked:
        s3.put_object(Bucket=bucket, Key=f"{prefix}/asked/{number}.png", Body=png(pictures[number]))
    transformer = best.transformer(
        1, "ml.m5.large", accept="application/jsonlines", output_path=f"{place}/answers"
    )
    transformer.transform(f"{place}/asked/", content_type="application/x-image")
    S3Downloader.download(f"{place}/answers/", folder, sagemaker_session=session)
    transformer.delete_model()
    lines = [json.loads(Path(f"{folder}/{number}.png.out").read_text())["prediction"] for number in asked]

    # Outside: the model holds an ONNX file (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(Path(folder) / "model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    network = onnxruntime.InferenceSession(f"{folder}/model/image-classification.onnx")
    data = (pictures[list(asked)] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    [scores] = network.run(None, {"data": data.transpose(0, 3, 1, 2).astype("float32")})

found = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
np.testing.assert_allclose(answers, found, atol=1e-4)
np.testing.assert_allclose(lines, found, atol=1e-4)

right = np.mean(np.argmax(answers, axis=1) == digits.target[list(asked)])
print(f"score     validation:accuracy {score:.3f} with adam")
print(f"tuned     {trials[['optimizer', 'FinalObjectiveValue']].to_dict('records')}")
print(f"best      optimizer {trials.optimizer.iloc[0]}")
print(f"first     {np.argmax(answers, axis=1)}, {right:.2f} of them right")
print(f"outside   ONNX says the same of {len(asked)} digits as endpoint and transform")
