"""SDK v2's plain Estimator with the networks that stand on torch, as documented.

Each function trains, tunes over three values, deploys, asks and transforms, and answers as JSON.
"""

import base64
import io
import json
import random
import time

import boto3
import numpy as np
import sagemaker
from PIL import Image, ImageDraw
from sagemaker import image_uris
from sagemaker.amazon.common import _write_recordio
from sagemaker.amazon.record_pb2 import Record
from sagemaker.deserializers import BytesDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import IdentitySerializer
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner

session = sagemaker.Session()
client = boto3.client("sagemaker")
s3 = boto3.client("s3")
bucket = session.default_bucket()
CPU = "ml.m5.large"


def put(key, body):
    """Upload; return the object's folder."""
    s3.put_object(Bucket=bucket, Key=f"networks/{key}", Body=body)
    return f"s3://{bucket}/networks/{key.rpartition('/')[0]}/"


def finished(describe, status, **key):
    """Wait in short steps for a job; return its description."""
    for _ in range(3600):
        found = describe(**key)
        if found[status] in {"Completed", "Failed", "Stopped"}:
            assert found[status] == "Completed", found.get("FailureReason")
            return found
        time.sleep(0.1)
    raise TimeoutError(str(key))


def shown(algorithm, given, inputs, metric, goal, question, content_type, **transforming):
    """Do all that a user does; return what came of it."""

    def estimator():
        image = image_uris.retrieve(algorithm, session.boto_region_name)
        role = sagemaker.get_execution_role()
        return Estimator(image, role, 1, CPU, sagemaker_session=session, hyperparameters=given)

    made = estimator()
    made.fit(inputs, wait=False)
    job = made.latest_training_job.name
    found = finished(client.describe_training_job, "TrainingJobStatus", TrainingJobName=job)
    tuner = HyperparameterTuner(
        estimator(),
        metric,
        {"learning_rate": ContinuousParameter(0.001, 0.02, scaling_type="Logarithmic")},
        objective_type=goal,
        strategy="Random",
        max_jobs=3,
        max_parallel_jobs=1,
    )
    tuner.fit(inputs, wait=False)
    tuned = finished(
        client.describe_hyper_parameter_tuning_job,
        "HyperParameterTuningJobStatus",
        HyperParameterTuningJobName=tuner.latest_tuning_job.name,
    )
    predictor = made.deploy(
        1, CPU, wait=False, serializer=IdentitySerializer(content_type), deserializer=BytesDeserializer()
    )
    try:
        session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
        answer = predictor.predict(question)
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()
    uri = put(f"{algorithm}/asked/part-0", question)
    transformer = made.transformer(1, CPU, **transforming)
    split = {"split_type": "Line"} if content_type.endswith("lines") else {}
    transformer.transform(uri, content_type=content_type, wait=False, **split)
    name = transformer.latest_transform_job.name
    finished(client.describe_transform_job, "TransformJobStatus", TransformJobName=name)
    prefix = transformer.output_path.partition(f"{bucket}/")[2]
    written = s3.get_object(Bucket=bucket, Key=f"{prefix}/part-0.out")["Body"].read()
    best = tuned["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]
    return {
        "metrics": {each["MetricName"]: each["Value"] for each in found["FinalMetricDataList"]},
        "counts": tuned["TrainingJobStatusCounters"]["Completed"],
        "best": best["Value"],
        "question": base64.b64encode(question).decode(),
        "content_type": content_type,
        "answer": base64.b64encode(answer).decode(),
        "transformed": base64.b64encode(written).decode(),
        "job": job,
    }


def square(number, side, share):
    """Return a noisy image with a bright square, its mask, and the square: left, top and size in pixels."""
    draw = np.random.default_rng(number)
    size = int(side * draw.uniform(*share))
    left, top = (int(each) for each in draw.integers(0, side - size, 2))
    image = Image.fromarray(draw.integers(0, 90, (side, side, 3)).astype(np.uint8))
    mask = Image.new("L", (side, side))
    for one, colour in ((image, (240, 200, 40)), (mask, 1)):
        ImageDraw.Draw(one).rectangle((left, top, left + size - 1, top + size - 1), fill=colour)
    return image, mask, (left, top, size)


def encoded(image, kind):
    """Return an image's file."""
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return stream.getvalue()


def semantic_segmentation():
    """Squares and their masks, in folders of their own."""
    inputs, side = {}, 32
    for name, numbers in (("train", range(16)), ("validation", range(100, 106))):
        for number in numbers:
            image, mask, _ = square(number, side, (0.4, 0.8))
            uri = put(f"masks/{name}/{number}.jpg", encoded(image, "JPEG"))
            masks = put(f"masks/{name}_annotation/{number}.png", encoded(mask, "PNG"))
        inputs[name] = TrainingInput(uri, content_type="image/jpeg")
        inputs[f"{name}_annotation"] = TrainingInput(masks, content_type="image/png")
    given = {
        "num_classes": 2,
        "num_training_samples": 16,
        "use_pretrained_model": "False",
        "base_size": side,
        "crop_size": side,
        "mini_batch_size": 4,
        "optimizer": "adam",
        "epochs": 3,
    }
    image, mask, _ = square(200, side, (0.4, 0.8))
    seen = shown(
        "semantic-segmentation",
        given,
        inputs,
        "validation:mIOU",
        "Maximize",
        encoded(image, "JPEG"),
        "image/jpeg",
        accept="image/png",
    )
    answer = Image.open(io.BytesIO(base64.b64decode(seen["answer"])))
    return {**seen, "mode": answer.mode, "right": float((np.array(answer) == np.array(mask)).mean())}


def object_detection():
    """Squares and their boxes: an annotation beside each image."""
    inputs, side = {}, 300
    for name, numbers in (("train", range(4)), ("validation", range(100, 102))):
        for number in numbers:
            image, _, (left, top, size) = square(number, side, (0.3, 0.6))
            uri = put(f"boxes/{name}/{number}.jpg", encoded(image, "JPEG"))
            box = {"class_id": 0, "left": left, "top": top, "width": size, "height": size}
            document = {
                "file": f"{number}.jpg",
                "image_size": [{"width": side, "height": side, "depth": 3}],
                "annotations": [box],
                "categories": [{"class_id": 0, "name": "square"}],
            }
            boxes = put(f"boxes/{name}_annotation/{number}.json", json.dumps(document).encode())
        inputs[name] = TrainingInput(uri, content_type="image/jpeg")
        inputs[f"{name}_annotation"] = TrainingInput(boxes, content_type="image/jpeg")
    given = {
        "num_classes": 1,
        "num_training_samples": 4,
        "base_network": "resnet-50",
        "use_pretrained_model": 0,
        "mini_batch_size": 2,
        "epochs": 1,
    }
    question = encoded(square(200, side, (0.3, 0.6))[0], "JPEG")
    return shown("object-detection", given, inputs, "validation:mAP", "Maximize", question, "image/jpeg")


def deepar():
    """Series with a week in them."""
    rows = []
    for number in range(12):
        level = 10 + 5 * number
        values = [level * (1 + 0.5 * (day % 7 in {5, 6})) + (day * number) % 3 for day in range(120)]
        rows.append({"start": "2024-01-01 00:00:00", "target": values, "cat": [number % 2]})
    known = [{**each, "target": each["target"][:-14]} for each in rows]
    text = ["".join(json.dumps(each) + "\n" for each in lines).encode() for lines in (known, rows)]
    inputs = {
        name: TrainingInput(put(f"deepar/{name}/part.json", body), content_type="application/jsonlines")
        for name, body in zip(("train", "test"), text, strict=True)
    }
    given = {"time_freq": "D", "context_length": 14, "prediction_length": 14, "epochs": 3, "num_cells": 30}
    question = "".join(json.dumps(each) + "\n" for each in known[:2]).encode()
    return shown(
        "forecasting-deepar",
        given,
        inputs,
        "test:mean_wQuantileLoss",
        "Minimize",
        question,
        "application/jsonlines",
        assemble_with="Line",
    )


def seq2seq():
    """Words to be reversed."""
    words = ["<pad>", "<unk>", "<s>", "</s>", *"abcdefgh"]
    vocabulary = json.dumps({word: token for token, word in enumerate(words)}).encode()
    draw = random.Random(3)

    def records(n_pairs):
        stream = io.BytesIO()
        for _ in range(n_pairs):
            source = [draw.randrange(4, len(words)) for _ in range(draw.randrange(1, 5))]
            record = Record()
            record.features["source"].int32_tensor.values.extend(source)
            record.features["target"].int32_tensor.values.extend(source[::-1])
            _write_recordio(stream, record.SerializeToString())
        return stream.getvalue()

    inputs = {
        "train": put("seq2seq/train/train.rec", records(400)),
        "validation": put("seq2seq/validation/val.rec", records(40)),
        "vocab": put("seq2seq/vocab/vocab.src.json", vocabulary),
    }
    put("seq2seq/vocab/vocab.trg.json", vocabulary)
    given = {
        "max_seq_len_source": 8,
        "max_seq_len_target": 8,
        "num_embed_source": 24,
        "num_embed_target": 24,
        "rnn_num_hidden": 48,
        "batch_size": 20,
        "learning_rate": 0.01,
        "checkpoint_frequency_num_batches": 20,
        "max_num_epochs": 12,
    }
    question = "".join(json.dumps({"source": each}) + "\n" for each in ("a b", "h g c")).encode()
    lines = "application/jsonlines"
    return shown(
        "seq2seq", given, inputs, "validation:accuracy", "Maximize", question, lines, assemble_with="Line"
    )
