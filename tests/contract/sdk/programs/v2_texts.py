"""SDK v2's BlazingText as documented, a plain Estimator; each function answers what it saw, as JSON."""

import json
import tarfile
import tempfile
import time
from pathlib import Path

import boto3
import sagemaker
from sagemaker import image_uris
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import JSONSerializer
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner

session = sagemaker.Session()
client = boto3.client("sagemaker")
s3 = boto3.client("s3")
bucket = session.default_bucket()
image = image_uris.retrieve("blazingtext", session.boto_region_name)
TOPICS = (("goal", "match", "player", "team"), ("oven", "recipe", "flour", "butter"))


def image_of_the_sdk():
    """Return what the SDK calls the image."""
    return image


def put(name, lines):
    """Upload lines; return where they are."""
    s3.put_object(Bucket=bucket, Key=name, Body="".join(f"{line}\n" for line in lines))
    return f"s3://{bucket}/{name}"


def texts(n_texts, start=0):
    """Return texts of two topics with their labels."""
    for n in range(start, start + n_texts):
        topic = n % 2
        words = " ".join(TOPICS[topic][(n * 7 + k * (n % 5 + 1)) % 4] for k in range(5))
        yield topic, f"the {words}"


def estimator(**hyperparameters):
    """Return an estimator of the built-in image."""
    return Estimator(
        image,
        role=sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
        hyperparameters=hyperparameters,
    )


def finished(describe, status, **key):
    """Wait in short steps for a job; return its description."""
    for _ in range(2400):
        found = describe(**key)
        if found[status] in {"Completed", "Failed", "Stopped"}:
            assert found[status] == "Completed", found.get("FailureReason")
            return found
        time.sleep(0.1)
    raise TimeoutError(str(key))


def trained(made, inputs):
    """Train; return the final metrics."""
    made.fit(inputs, wait=False)
    name = made.latest_training_job.name
    found = finished(client.describe_training_job, "TrainingJobStatus", TrainingJobName=name)
    return {each["MetricName"]: each["Value"] for each in found.get("FinalMetricDataList", [])}


def asked(made, *documents):
    """Deploy, ask, take down."""
    formats = {"serializer": JSONSerializer(), "deserializer": JSONDeserializer()}
    predictor = made.deploy(1, "ml.m5.large", wait=False, **formats)
    try:
        session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
        return [predictor.predict(each) for each in documents]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()


def transformed(made, lines):
    """Run a batch transform over JSON Lines; return what it wrote."""
    uri = put("texts-asked/part-0", map(json.dumps, lines))
    transformer = made.transformer(
        1, "ml.m5.large", strategy="MultiRecord", assemble_with="Line", accept="application/jsonlines"
    )
    transformer.transform(uri, content_type="application/jsonlines", split_type="Line", wait=False)
    name = transformer.latest_transform_job.name
    finished(client.describe_transform_job, "TransformJobStatus", TransformJobName=name)
    prefix = transformer.output_path.partition(f"{bucket}/")[2]
    body = s3.get_object(Bucket=bucket, Key=f"{prefix}/part-0.out")["Body"].read().decode()
    return [json.loads(line) for line in body.splitlines() if line]


LABELS = {"mode": "supervised", "vector_dim": 10, "min_count": 1, "buckets": 1000, "epochs": 10}


def labels():
    """Train with early stopping, tune, deploy the best, predict, transform."""
    lines = [f"__label__{topic} {text}" for topic, text in texts(300)]
    inputs = {
        "train": TrainingInput(put("texts/train.txt", lines), content_type="text/plain"),
        "validation": TrainingInput(put("texts/validation.txt", lines[:60]), content_type="text/plain"),
    }
    made = estimator(**LABELS, early_stopping=True, patience=4, min_epochs=5, learning_rate=0.3)
    metrics = trained(made, inputs)
    tuner = HyperparameterTuner(
        estimator(**LABELS),
        "validation:accuracy",
        {"learning_rate": ContinuousParameter(0.001, 0.5)},
        max_jobs=3,
        max_parallel_jobs=2,
    )
    tuner.fit(inputs, wait=False)
    name = tuner.latest_tuning_job.name
    tuned = finished(
        client.describe_hyper_parameter_tuning_job,
        "HyperParameterTuningJobStatus",
        HyperParameterTuningJobName=name,
    )
    document = {"instances": ["the goal", "flour and butter"], "configuration": {"k": 2}}
    [answer] = asked(made, document)
    rows = transformed(made, [{"source": text, "k": 2} for text in document["instances"]])
    return {
        "metrics": metrics,
        "counts": tuned["TrainingJobStatusCounters"]["Completed"],
        "best": tuned["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"],
        "answer": answer,
        "transformed": rows,
        "job": made.latest_training_job.name,
        "data": made.model_data,
    }


def augmented():
    """Train on an augmented manifest in Pipe mode; return the final metrics."""
    lines = [json.dumps({"source": text, "label": topic}) for topic, text in texts(300)]
    channel = TrainingInput(
        put("augmented/train.manifest", lines),
        content_type="application/x-recordio",
        s3_data_type="AugmentedManifestFile",
        attribute_names=["source", "label"],
        input_mode="Pipe",
        record_wrapping="RecordIO",
    )
    return trained(estimator(**LABELS, learning_rate=0.3), {"train": channel})


def words():
    """Train vectors on two instances with pairs to judge them, deploy, ask, open the artefact."""
    judged = ["goal match 9", "oven flour 8", "goal flour 1", "team recipe 2"]
    inputs = {
        "train": TrainingInput(put("words/train.txt", [text for _, text in texts(600)] * 3)),
        "evaluation": TrainingInput(put("words/pairs/EN-WS-353-ALL.txt", judged)),
    }
    made = estimator(
        mode="batch_skipgram",
        epochs=5,
        min_count=1,
        sampling_threshold=0.1,
        vector_dim=8,
        learning_rate=0.05,
        window_size=3,
        negative_samples=5,
        batch_size=11,
        evaluation=True,
        subwords=False,
    )
    made.instance_count = 2
    metrics = trained(made, inputs)
    [answer] = asked(made, {"instances": ["goal", "unheard"]})
    with tempfile.TemporaryDirectory() as folder:
        bucket_name, _, key = made.model_data.removeprefix("s3://").partition("/")
        s3.download_file(bucket_name, key, f"{folder}/model.tar.gz")
        with tarfile.open(f"{folder}/model.tar.gz") as archive:
            archive.extractall(folder)
        text = Path(folder, "vectors.txt").read_text().splitlines()
        names = sorted(path.name for path in Path(folder).iterdir())
    vectors = {line.split(" ")[0]: [float(each) for each in line.split(" ")[1:]] for line in text[1:]}
    return {"metrics": metrics, "answer": answer, "text": vectors["goal"], "names": names}
