"""K-Means: 1,797 handwritten digits of scikit-learn, 8 x 8 pixels each, in ten groups.

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
from sklearn.datasets import load_digits

images = load_digits().data.astype("float32")
train, test = images[:1400], images[1400:]

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/kmeans"
estimator = KMeans(
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    k=10,
    epochs=5,
    output_path=f"{place}/models",
    sagemaker_session=session,
)

# Train: a typed estimator uploads arrays as records.
channels = [estimator.record_set(train), estimator.record_set(test, channel="test")]
estimator.fit(channels)
score = estimator.training_job_analytics.dataframe().set_index("metric_name").value["test:msd"]

# Tune: three values, two at a time.
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="test:msd",
    objective_type="Minimize",
    hyperparameter_ranges={"extra_center_factor": IntegerParameter(4, 10)},
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

print(f"score     test:msd {score:.1f} with ten groups")
print(f"tuned     {trials[['extra_center_factor', 'FinalObjectiveValue']].to_dict('records')}")
print(f"best      extra_center_factor {trials.extra_center_factor.iloc[0]:g}")
print(f"first     clusters {answers[:10].astype(int)}, the first {distances[0]:.1f} from its centre")
print(f"outside   NumPy says the same of {len(test)} digits as endpoint and transform")
