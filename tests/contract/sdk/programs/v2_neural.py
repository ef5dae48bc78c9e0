"""SDK v2's IPInsights, NTM and Object2Vec, as documented; each function answers what it saw, as JSON."""

import json
import time

import boto3
import numpy as np
import sagemaker
from sagemaker import NTM, IPInsights, Object2Vec, image_uris
from sagemaker.amazon.amazon_estimator import RecordSet
from sagemaker.deserializers import JSONDeserializer
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import JSONSerializer

session = sagemaker.Session()
client = boto3.client("sagemaker")
s3 = boto3.client("s3")
bucket = session.default_bucket()
rng = np.random.default_rng(7)
common = {
    "role": sagemaker.get_execution_role(),
    "instance_type": "ml.m5.large",
    "instance_count": 1,
    "sagemaker_session": session,
}


def images():
    """Return what the SDK calls the images of the algorithms."""
    return {
        name: image_uris.retrieve(name, session.boto_region_name)
        for name in ("ipinsights", "ntm", "object2vec")
    }


def finished(describe, name, **key):
    """Wait in short steps for a job; return its description."""
    for _ in range(1200):
        found = describe(**key)
        status = found.get("TrainingJobStatus") or found["TransformJobStatus"]
        if status in {"Completed", "Failed", "Stopped"}:
            assert status == "Completed", found["FailureReason"]
            return found
        time.sleep(0.1)
    raise TimeoutError(name)


def fit(estimator, *given, **more):
    """Train; return the final metrics."""
    estimator.fit(*given, wait=False, **more)
    name = estimator.latest_training_job.name
    found = finished(client.describe_training_job, name, TrainingJobName=name)
    return {each["MetricName"]: each["Value"] for each in found.get("FinalMetricDataList", [])}


def records(name, lines):
    """Upload lines; return them as a typed estimator takes them."""
    s3.put_object(Bucket=bucket, Key=f"{name}/part-0", Body="".join(f"{line}\n" for line in lines))
    return RecordSet(f"s3://{bucket}/{name}/", num_records=len(lines), feature_dim=2, s3_data_type="S3Prefix")


def asked(estimator, *questions, **formats):
    """Deploy, ask, take down."""
    predictor = estimator.deploy(1, "ml.m5.large", wait=False, **formats)
    try:
        session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
        return [predictor.predict(each) for each in questions]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()


def transformed(estimator, name, lines, content_type):
    """Run a batch transform over lines; return what it wrote."""
    s3.put_object(Bucket=bucket, Key=f"{name}-asked/part-0", Body="".join(f"{line}\n" for line in lines))
    transformer = estimator.transformer(
        1, "ml.m5.large", strategy="MultiRecord", assemble_with="Line", accept="application/jsonlines"
    )
    transformer.transform(
        f"s3://{bucket}/{name}-asked/", content_type=content_type, split_type="Line", wait=False
    )
    job = transformer.latest_transform_job.name
    finished(client.describe_transform_job, job, TransformJobName=job)
    prefix = transformer.output_path.partition(f"{bucket}/")[2]
    body = s3.get_object(Bucket=bucket, Key=f"{prefix}/part-0.out")["Body"].read().decode()
    return [json.loads(line) for line in body.splitlines() if line]


def ip_insights():
    """Train, deploy, predict, transform."""
    lines = [f"user{n % 5},10.{n % 5}.{n % 7}.{n % 250}" for n in range(500)]
    estimator = IPInsights(num_entity_vectors=50, vector_dim=8, epochs=8, learning_rate=0.02, **common)
    metrics = fit(estimator, records("logins", lines), mini_batch_size=50)
    asks = ["user1,10.1.3.4", "user1,10.3.3.4"]
    [answer] = asked(estimator, [each.split(",") for each in asks])
    return {
        "metrics": metrics,
        "products": [row["dot_product"] for row in answer["predictions"]],
        "transformed": [row["dot_product"] for row in transformed(estimator, "logins", asks, "text/csv")],
    }


def ntm():
    """Train on dense records with a vocabulary, deploy, predict."""
    topics = np.kron(np.eye(3), np.full(4, 0.25))
    group = rng.integers(0, 3, 300)
    counts = np.stack([rng.multinomial(30, topics[each]) for each in group]).astype("float32")
    s3.put_object(Bucket=bucket, Key="vocabulary/vocab.txt", Body="\n".join(f"word{n}" for n in range(12)))
    estimator = NTM(
        num_topics=3, epochs=20, optimizer="adam", learning_rate=0.02, encoder_layers=[8], **common
    )
    sets = [estimator.record_set(counts), estimator.record_set(counts[:60], channel="validation")]
    metrics = fit(estimator, sets, mini_batch_size=50)
    [found] = asked(estimator, counts[:30])
    weights = [list(each.label["topic_weights"].float32_tensor.values) for each in found]
    return {"metrics": metrics, "weights": weights, "group": group[:30].tolist()}


def object2vec():
    """Train, deploy, predict pairs and single sides, transform."""
    halves = rng.integers(0, 2, (400, 2))
    pairs = [
        {"in0": (rng.integers(0, 6, 3) + 6 * one).tolist(), "in1": (rng.integers(0, 6, 3) + 6 * two).tolist()}
        for one, two in halves
    ]
    lines = [
        json.dumps({"label": int(one == two), **pair})
        for (one, two), pair in zip(halves.tolist(), pairs, strict=True)
    ]
    estimator = Object2Vec(
        enc0_max_seq_len=5,
        enc0_vocab_size=12,
        enc0_network="pooled_embedding",
        enc0_token_embedding_dim=8,
        mlp_activation="relu",
        mlp_dim=16,
        learning_rate=0.02,
        epochs=10,
        tied_token_embedding_weight=True,
        comparator_list="hadamard, abs_diff",
        **common,
    )
    metrics = fit(estimator, records("pairs", lines), mini_batch_size=20)
    formats = {"serializer": JSONSerializer(), "deserializer": JSONDeserializer()}
    single = {"instances": [{"in0": pairs[0]["in0"]}]}
    scores, embeddings = asked(estimator, {"instances": pairs[:20]}, single, **formats)
    rows = transformed(estimator, "pairs", [json.dumps(each) for each in pairs[:20]], "application/jsonlines")
    return {
        "metrics": metrics,
        "labels": [int(one == two) for one, two in halves[:20].tolist()],
        "scores": [row["scores"] for row in scores["predictions"]],
        "width": len(embeddings["predictions"][0]["embeddings"]),
        "transformed": [row["scores"] for row in rows],
    }


def several_instances_of_object2vec():
    """Return why a second instance is refused."""
    estimator = Object2Vec(
        enc0_max_seq_len=5, enc0_vocab_size=12, epochs=1, **{**common, "instance_count": 2}
    )
    try:
        fit(estimator, records("pairs-two", ['{"label": 0, "in0": [1], "in1": [2]}']))
    except AssertionError as error:
        return str(error)
    return ""


def vocabulary_of_ntm():
    """Return the topics that the log of a training with an auxiliary channel shows."""
    from sagemaker.estimator import Estimator  # noqa: PLC0415

    rows = "\n".join(",".join(str(int(n // 4 == g) * 5) for n in range(12)) for g in [0, 1, 2] * 20)
    s3.put_object(Bucket=bucket, Key="documents/train.csv", Body=rows)
    s3.put_object(Bucket=bucket, Key="vocabulary/vocab.txt", Body="\n".join(f"word{n}" for n in range(12)))
    estimator = Estimator(image_uris.retrieve("ntm", session.boto_region_name), **common)
    estimator.set_hyperparameters(feature_dim=12, num_topics=3, epochs=3, mini_batch_size=20)
    channels = {
        "train": TrainingInput(f"s3://{bucket}/documents/", content_type="text/csv;label_size=0"),
        "auxiliary": TrainingInput(f"s3://{bucket}/vocabulary/", content_type="text/plain"),
    }
    fit(estimator, channels)
    streams = boto3.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs",
        logStreamNamePrefix=estimator.latest_training_job.name,
    )["logStreams"]
    events = boto3.client("logs").get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=streams[0]["logStreamName"]
    )["events"]
    return [each["message"] for each in events if "wetc" in each["message"]]
