"""K-Means: the 32 colours that a picture can be painted with, from 60,000 of its pixels (in scikit-learn).

clary run -- .venvs/sdk2/bin/python examples/algorithms/kmeans.py
"""

import tarfile
import tempfile
from pathlib import Path

import numpy as np
import sagemaker
from sagemaker import KMeans
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader
from sagemaker.tuner import HyperparameterTuner
from sklearn.datasets import load_sample_image

pixels = load_sample_image("china.jpg").reshape(-1, 3).astype("float32")
pixels = np.random.default_rng(7).permutation(pixels)
train, test = pixels[:60_000], pixels[-2000:]

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/kmeans"
estimator = KMeans(
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    k=32,
    output_path=f"{place}/models",
    sagemaker_session=session,
)

# Train: a typed estimator uploads arrays as records.
channels = [estimator.record_set(train), estimator.record_set(test, channel="test")]
estimator.fit(channels)
score = estimator.training_job_analytics.dataframe().set_index("metric_name").value["test:msd"]

# Tune: three numbers of passes, two at a time.
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="test:msd",
    objective_type="Minimize",
    hyperparameter_ranges={"epochs": IntegerParameter(2, 10)},
    max_jobs=3,
    max_parallel_jobs=2,
)
tuner.fit(channels)
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue")
best = tuner.best_estimator()

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it.
    predictor = best.deploy(1, "ml.m5.large")
    try:
        records = predictor.predict(test)
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()
    answers = np.array([record.label["closest_cluster"].float32_tensor.values[0] for record in records])
    distances = np.array([record.label["distance_to_cluster"].float32_tensor.values[0] for record in records])

    # Transform a file in S3: a line of answers for every line of rows.
    np.savetxt(f"{folder}/test.csv", test, "%g", delimiter=",")
    rows = session.upload_data(f"{folder}/test.csv", key_prefix="examples/kmeans/rows")
    transformer = best.transformer(
        1, "ml.m5.large", accept="text/csv", assemble_with="Line", output_path=f"{place}/answers"
    )
    transformer.transform(rows, content_type="text/csv", split_type="Line")
    S3Downloader.download(f"{place}/answers/test.csv.out", folder, sagemaker_session=session)
    transformer.delete_model()
    lines = np.loadtxt(f"{folder}/test.csv.out", delimiter=",")

    # Outside: the model is a NumPy archive (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(Path(folder) / "model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    centers = np.load(f"{folder}/model/model_algo-1")["centers"]

away = np.sqrt(((test[:, None] - centers) ** 2).sum(axis=2))
np.testing.assert_array_equal(away.argmin(axis=1), answers)
np.testing.assert_allclose(away.min(axis=1), distances, rtol=1e-4)
np.testing.assert_allclose(lines, np.column_stack([answers, distances]), rtol=1e-4)

print(f"score     test:msd {score:.1f} after one pass")
print(f"best      {trials.epochs.iloc[0]:g} passes: {trials.FinalObjectiveValue.iloc[0]:.1f}")
print(f"first     colour {answers[0]:g}, {distances[0]:.1f} from {np.round(centers[int(answers[0])])}")
print(f"outside   NumPy says the same of {len(test)} pixels as endpoint and transform")
