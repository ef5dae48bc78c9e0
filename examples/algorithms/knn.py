"""K-NN: which digit is it? The nearest of 1,400 handwritten digits of scikit-learn vote.

clary run -- .venvs/sdk2/bin/python examples/algorithms/knn.py
"""

import json
import tarfile
import tempfile

import numpy as np
import sagemaker
from sagemaker import KNN
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader
from sagemaker.tuner import HyperparameterTuner
from sklearn.datasets import load_digits

images, digits = (each.astype("float32") for each in load_digits(return_X_y=True))

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/knn"
estimator = KNN(
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    k=5,
    sample_size=1400,
    predictor_type="classifier",
    output_path=f"{place}/models",
    sagemaker_session=session,
)

# Train: a typed estimator uploads arrays as records.
channels = [
    estimator.record_set(images[:1400], digits[:1400]),
    estimator.record_set(images[1400:], digits[1400:], channel="test"),
]
estimator.fit(channels)
score = estimator.training_job_analytics.dataframe().set_index("metric_name").value["test:accuracy"]

# Tune: three numbers of neighbours.
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="test:accuracy",
    objective_type="Maximize",
    hyperparameter_ranges={"k": IntegerParameter(1, 20)},
    max_jobs=3,
    max_parallel_jobs=2,
)
tuner.fit(channels)
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
best = tuner.best_estimator()
k = int(trials.k.iloc[0])

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it.
    predictor = best.deploy(1, "ml.m5.large")
    try:
        records = predictor.predict(images[1400:])
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()
    answers = [record.label["predicted_label"].float32_tensor.values[0] for record in records]

    # Transform a file in S3, and be told the neighbours too.
    np.savetxt(f"{folder}/test.csv", images[1400:], "%g", delimiter=",")
    rows = session.upload_data(f"{folder}/test.csv", key_prefix="examples/knn/rows")
    verbose = "application/jsonlines; verbose=true"
    transformer = best.transformer(
        1, "ml.m5.large", accept=verbose, assemble_with="Line", output_path=f"{place}/answers"
    )
    transformer.transform(rows, content_type="text/csv", split_type="Line")
    transformer.delete_model()
    S3Downloader.download(f"{place}/answers/test.csv.out", folder, sagemaker_session=session)
    with open(f"{folder}/test.csv.out") as file:
        lines = [json.loads(line) for line in file]

    # Outside: a NumPy archive of vectors beside their labels (`clary model unpack model.tar.gz` tells).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(f"{folder}/model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    vectors = np.load(f"{folder}/model/model_algo-1")["vectors"]
    labels = np.fromfile(f"{folder}/model/model_algo-1.labels", "<f4").astype(int)

away = ((images[1400:, None] - vectors) ** 2).sum(axis=2)
nearest = np.sort(away, axis=1)[:, :k]
votes = 1 + np.arange(k, 0, -1) / (k * (k + 1))  # of equally common labels the nearer wins
neighbours = labels[np.argsort(away, axis=1, kind="stable")[:, :k]]
outside = np.array([np.bincount(each, votes).argmax() for each in neighbours])

np.testing.assert_array_equal(outside, answers)
np.testing.assert_array_equal(outside, [line["predicted_label"] for line in lines])
np.testing.assert_allclose(nearest, [line["distances"] for line in lines], rtol=1e-4)

print(f"score     test:accuracy {score:.3f} with five neighbours")
print(f"best      k {k}: {trials.FinalObjectiveValue.iloc[0]:.3f}")
print(f"first     {outside[:10]}, the first one's neighbours {neighbours[0]}")
print(f"outside   NumPy says the same of {len(outside)} digits as endpoint and transform")
