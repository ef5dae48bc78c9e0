"""SDK v2's typed estimators of rows, as its documentation uses them; each answers what it saw, as JSON."""

import time

import boto3
import numpy as np
import sagemaker
from sagemaker import KNN, PCA, KMeans, LinearLearner, image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput

session = sagemaker.Session()
client = boto3.client("sagemaker")
rng = np.random.default_rng(7)
group = rng.integers(0, 2, 400)
rows = (rng.normal(size=(400, 4)) + 6 * group[:, None]).astype("float32")
labels = group.astype("float32")
common = {
    "role": sagemaker.get_execution_role(),
    "instance_type": "ml.m5.large",
    "sagemaker_session": session,
}


def images():
    """Return what the SDK calls the images of the algorithms."""
    names = ("kmeans", "pca", "linear-learner", "knn")
    return {name: image_uris.retrieve(name, session.boto_region_name) for name in names}


def wait(estimator):
    """Wait for a job in shorter steps than `fit` does; return its description."""
    name = estimator.latest_training_job.name
    for _ in range(1200):
        found = client.describe_training_job(TrainingJobName=name)
        if found["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"}:
            assert found["TrainingJobStatus"] == "Completed", found["FailureReason"]
            return found
        time.sleep(0.1)
    raise TimeoutError(name)


def fit(estimator, *sets, **more):
    estimator.fit(list(sets) if len(sets) > 1 else sets[0], wait=False, **more)
    return {each["MetricName"]: each["Value"] for each in wait(estimator).get("FinalMetricDataList", [])}


def k_means():
    """Train, deploy, predict: records both ways."""
    estimator = KMeans(k=2, epochs=2, instance_count=1, eval_metrics=["msd", "ssd"], **common)
    metrics = fit(estimator, estimator.record_set(rows), estimator.record_set(rows[:50], channel="test"))
    predictor = estimator.deploy(1, "ml.m5.large", wait=False)
    try:
        session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
        found = predictor.predict(rows[:20])
        closest = [record.label["closest_cluster"].float32_tensor.values[0] for record in found]
        distances = [record.label["distance_to_cluster"].float32_tensor.values[0] for record in found]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()
    return {"metrics": metrics, "closest": closest, "group": group[:20].tolist(), "farthest": max(distances)}


def principal_components():
    """Train on two instances, each with a shard."""
    estimator = PCA(num_components=2, instance_count=2, **common)
    fit(estimator, estimator.record_set(rows))
    return {"hyperparameters": estimator.hyperparameters(), "model": estimator.model_data}


def linear_learner():
    """Train with a validation channel."""
    estimator = LinearLearner(
        predictor_type="binary_classifier",
        instance_count=1,
        epochs=3,
        binary_classifier_model_selection_criteria="f_beta",
        normalize_data=True,
        use_bias=True,
        **common,
    )
    return fit(
        estimator,
        estimator.record_set(rows, labels),
        estimator.record_set(rows, labels, channel="validation"),
    )


def neighbours():
    """Train."""
    estimator = KNN(k=3, sample_size=300, predictor_type="classifier", instance_count=1, **common)
    return fit(
        estimator,
        estimator.record_set(rows, labels),
        estimator.record_set(rows[:50], labels[:50], channel="test"),
        mini_batch_size=100,
    )


def csv_in_a_plain_estimator():
    """Train k-means by image URI, from CSV, wrongly first; return the reason, then that it worked."""
    bucket = session.default_bucket()
    body = "\n".join(",".join(f"{value:.4f}" for value in row) for row in rows)
    boto3.client("s3").put_object(Bucket=bucket, Key="rows/train.csv", Body=body)
    reasons = []
    for content_type in ("text/csv", "text/csv;label_size=0"):
        estimator = Estimator(
            image_uris.retrieve("kmeans", session.boto_region_name), instance_count=1, **common
        )
        estimator.set_hyperparameters(feature_dim=4, k=2)
        channel = TrainingInput(f"s3://{bucket}/rows/", content_type=content_type)
        estimator.fit({"train": channel}, wait=False)
        try:
            wait(estimator)
            reasons.append("")
        except AssertionError as error:
            reasons.append(str(error))
    return reasons
