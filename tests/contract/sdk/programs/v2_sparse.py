"""SDK v2's RandomCutForest, FactorizationMachines and LDA, as its documentation uses them."""

import io
import json
import time

import boto3
import numpy as np
import sagemaker
import sagemaker.amazon.common as smac
import scipy.sparse
from sagemaker import LDA, FactorizationMachines, RandomCutForest, image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.parameter import CategoricalParameter
from sagemaker.serializers import JSONSerializer
from sagemaker.tuner import HyperparameterTuner

session = sagemaker.Session()
client = boto3.client("sagemaker")
common = {
    "role": sagemaker.get_execution_role(),
    "instance_type": "ml.m5.large",
    "instance_count": 1,
    "sagemaker_session": session,
}
rng = np.random.default_rng(5)
cloud = rng.normal(size=(600, 4)).astype("float32")
cloud[:6] += 12
users, things = rng.integers(0, 20, 2000), rng.integers(0, 15, 2000)
pairs = np.zeros((2000, 35), "float32")
pairs[np.arange(2000), users] = pairs[np.arange(2000), 20 + things] = 1
likes = (users % 2 == things % 2).astype("float32")
topics = rng.dirichlet(np.full(30, 0.1), 3)
documents = rng.poisson(60 * rng.dirichlet(np.full(3, 0.3), 200) @ topics).astype("float32")


def images():
    """Return what the SDK calls the images of the algorithms."""
    names = ("randomcutforest", "factorization-machines", "lda")
    return {name: image_uris.retrieve(name, session.boto_region_name) for name in names}


def wait(describe, status, name):
    """Wait for a job; return its description."""
    for _ in range(2400):
        found = describe(name)
        if found[status] in {"Completed", "Failed", "Stopped"}:
            assert found[status] == "Completed", found.get("FailureReason")
            return found
        time.sleep(0.1)
    raise TimeoutError(name)


def fit(estimator, inputs, **more):
    """Train; return the metrics."""
    estimator.fit(inputs, wait=False, **more)
    name = estimator.latest_training_job.name
    found = wait(lambda each: client.describe_training_job(TrainingJobName=each), "TrainingJobStatus", name)
    return {each["MetricName"]: each["Value"] for each in found.get("FinalMetricDataList", [])}


def ask(estimator, rows, member, **more):
    """Deploy, predict; return a member of the answers."""
    predictor = estimator.deploy(1, "ml.m5.large", wait=False, **more)
    try:
        session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
        found = predictor.predict(rows)
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()
    if isinstance(found, bytes):
        return json.loads(found)
    return [list(record.label[member].float32_tensor.values) for record in found]


def uploaded(name, write):
    """Put what `write` writes into the default bucket; return its place."""
    body = io.BytesIO()
    write(body)
    boto3.client("s3").put_object(Bucket=session.default_bucket(), Key=f"{name}/part", Body=body.getvalue())
    return f"s3://{session.default_bucket()}/{name}/"


def forest():
    """Train a forest, with a test channel as the service wants it; ask for scores."""
    estimator = RandomCutForest(num_trees=50, num_samples_per_tree=128, **common)
    test = uploaded(
        "rcf-test", lambda body: np.savetxt(body, np.c_[np.arange(600) < 6, cloud], "%.4f", delimiter=",")
    )
    train = estimator.record_set(cloud)
    estimator._prepare_for_training(train)
    estimator.mini_batch_size = 1000
    plain = Estimator(estimator.training_image_uri(), **common, hyperparameters=estimator.hyperparameters())
    labelled = TrainingInput(test, content_type="text/csv;label_size=1")
    metrics = fit(plain, {"train": train.records_s3_input(), "test": labelled})
    fit(estimator, train)
    return {"metrics": metrics, "scores": ask(estimator, cloud[:40], "score")}


def factors():
    """Train on dense records by the typed estimator."""
    estimator = FactorizationMachines(
        num_factors=4,
        predictor_type="binary_classifier",
        epochs=30,
        factors_lr=0.02,
        factors_init_sigma=0.1,
        **common,
    )
    sets = [
        estimator.record_set(pairs, likes),
        estimator.record_set(pairs[:300], likes[:300], channel="test"),
    ]
    return fit(estimator, sets, mini_batch_size=50)


def sparse_factors():
    """Train on sparse records by image URI, and ask in sparse JSON."""
    place = uploaded(
        "fm", lambda body: smac.write_spmatrix_to_sparse_tensor(body, scipy.sparse.csr_matrix(pairs), likes)
    )
    estimator = Estimator(images()["factorization-machines"], **common)
    estimator.set_hyperparameters(
        feature_dim=35,
        num_factors=4,
        predictor_type="regressor",
        epochs=20,
        factors_lr=0.02,
        mini_batch_size=50,
    )
    metrics = fit(estimator, {"train": TrainingInput(place), "test": TrainingInput(place)})
    rows = [
        {"data": {"features": {"keys": [u, 20 + t], "values": [1, 1], "shape": [35]}}}
        for u, t in ((0, 2), (0, 3))
    ]
    return {"metrics": metrics, "said": ask(estimator, {"instances": rows}, "", serializer=JSONSerializer())}


def lda():
    """Train topics, and ask for mixtures."""
    estimator = LDA(num_topics=3, **{key: each for key, each in common.items() if key != "instance_count"})
    sets = [estimator.record_set(documents), estimator.record_set(documents[:50], channel="test")]
    metrics = fit(estimator, sets, mini_batch_size=200)
    return {"metrics": metrics, "mixtures": ask(estimator, documents[:5], "topic_mixture")}


def _transformed(estimator):
    """Return the lines of a batch transform of CSV."""
    rows = uploaded("batch", lambda body: np.savetxt(body, cloud[:50], "%.4f", delimiter=","))
    output = f"s3://{session.default_bucket()}/batch-out-{int(time.time() * 1000)}"
    transformer = estimator.transformer(
        1, "ml.m5.large", output_path=output, assemble_with="Line", accept="text/csv"
    )
    transformer.transform(rows, content_type="text/csv", split_type="Line", wait=False)
    name = transformer.latest_transform_job.name
    wait(lambda each: client.describe_transform_job(TransformJobName=each), "TransformJobStatus", name)
    key = f"{output.partition('/')[2].partition('/')[2].partition('/')[2]}/part.out"
    body = boto3.client("s3").get_object(Bucket=session.default_bucket(), Key=key)["Body"].read()
    return [float(line) for line in body.split()]


def _tuned(estimator, metric, goal, ranges, inputs):
    """Return the objective's values of three trials."""
    tuner = HyperparameterTuner(
        estimator, metric, ranges, objective_type=goal, max_jobs=3, max_parallel_jobs=1, strategy="Grid"
    )
    tuner.fit(inputs, include_cls_metadata=False, wait=False)
    name = tuner.latest_tuning_job.name
    describe = client.describe_hyper_parameter_tuning_job
    wait(lambda each: describe(HyperParameterTuningJobName=each), "HyperParameterTuningJobStatus", name)
    found = client.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    jobs = found["TrainingJobSummaries"]
    return [each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in jobs]


def tuned():
    """Tune the main metric of each over three values, and transform by the forest."""
    labelled = TrainingInput(
        uploaded(
            "rcf-t", lambda body: np.savetxt(body, np.c_[np.arange(600) < 6, cloud], "%.4f", delimiter=",")
        ),
        content_type="text/csv;label_size=1",
    )
    unlabelled = TrainingInput(
        uploaded("rcf-u", lambda body: np.savetxt(body, cloud, "%.4f", delimiter=",")),
        content_type="text/csv;label_size=0",
        distribution="ShardedByS3Key",
    )
    sparse = TrainingInput(
        uploaded(
            "fm-t", lambda b: smac.write_spmatrix_to_sparse_tensor(b, scipy.sparse.csr_matrix(pairs), likes)
        )
    )
    counts = TrainingInput(
        uploaded("lda-t", lambda body: np.savetxt(body, documents, "%d", delimiter=",")),
        content_type="text/csv;label_size=0",
    )
    rcf = Estimator(images()["randomcutforest"], hyperparameters={"feature_dim": 4}, **common)
    fm = {"feature_dim": 35, "num_factors": 4, "predictor_type": "regressor", "factors_lr": 0.02}
    machines = Estimator(images()["factorization-machines"], hyperparameters=fm, **common)
    topic_model = Estimator(
        images()["lda"], hyperparameters={"feature_dim": 30, "mini_batch_size": 200}, **common
    )
    words = CategoricalParameter
    found = {
        "test:f1": _tuned(
            rcf,
            "test:f1",
            "Maximize",
            {"num_trees": words(["50", "60", "70"])},
            {"train": unlabelled, "test": labelled},
        ),
        "test:rmse": _tuned(
            machines,
            "test:rmse",
            "Minimize",
            {"epochs": words(["1", "5", "20"])},
            {"train": sparse, "test": sparse},
        ),
        "test:pwll": _tuned(
            topic_model,
            "test:pwll",
            "Maximize",
            {"num_topics": words(["2", "3", "4"])},
            {"train": counts, "test": counts},
        ),
    }
    fit(rcf, {"train": unlabelled})
    return {"objectives": found, "scores": _transformed(rcf)}
