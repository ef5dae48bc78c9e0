"""SDK v2's plain Estimator with DeepAR and Sequence-to-Sequence, as documented.

Each function trains, tunes over three values, deploys, asks and transforms, and answers as JSON.
"""

import base64
import io
import json
import random
import time

import boto3
import sagemaker
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
