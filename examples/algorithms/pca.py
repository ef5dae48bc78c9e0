"""PCA: 1,797 handwritten digits of scikit-learn, 64 pixels each, told in fewer numbers.

clary run -- .venvs/sdk2/bin/python examples/algorithms/pca.py

The service has no metric of PCA to tune by: three sizes are trained side by side, and the smallest is taken
that keeps nine tenths of the variance.
"""

import json
import tarfile
import tempfile

import numpy as np
import sagemaker
from sagemaker import PCA
from sagemaker.s3 import S3Downloader
from sklearn.datasets import load_digits

KEPT = 0.9
SIZES = (5, 15, 25)
images = load_digits().data.astype("float32")
session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/pca"


def of_size(num_components):
    return PCA(
        role=sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.large",
        num_components=num_components,
        output_path=f"{place}/models",
        sagemaker_session=session,
    )


def opened(estimator, folder):
    """Return the arrays of a model: a NumPy archive (`clary model unpack model.tar.gz` prints them)."""
    S3Downloader.download(estimator.model_data, folder, sagemaker_session=session)
    with tarfile.open(f"{folder}/model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    with np.load(f"{folder}/model/model_algo-1") as model:
        return dict(model)


with tempfile.TemporaryDirectory() as folder:
    # Train three, and take the smallest that keeps enough.
    records = of_size(SIZES[0]).record_set(images)
    estimators = [of_size(size) for size in SIZES]
    for estimator in estimators:
        estimator.fit(records, wait=False)
    for estimator in estimators:
        estimator.latest_training_job.wait()
    models = [opened(estimator, folder) for estimator in estimators]
    variance = ((images - images.mean(axis=0)) ** 2).sum()
    shares = [float((model["s"] ** 2).sum() / variance) for model in models]
    chosen = next(n for n, share in enumerate(shares) if share >= KEPT)
    best, model = estimators[chosen], models[chosen]

    # Deploy it, and ask it.
    predictor = best.deploy(1, "ml.m5.large")
    try:
        answers = [
            record.label["projection"].float32_tensor.values for record in predictor.predict(images[:500])
        ]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a file in S3: a line of answers for every line of rows.
    np.savetxt(f"{folder}/images.csv", images, "%g", delimiter=",")
    rows = session.upload_data(f"{folder}/images.csv", key_prefix="examples/pca/rows")
    transformer = best.transformer(
        1,
        "ml.m5.large",
        accept="application/jsonlines",
        assemble_with="Line",
        output_path=f"{place}/answers",
    )
    transformer.transform(rows, content_type="text/csv", split_type="Line")
    transformer.delete_model()
    S3Downloader.download(f"{place}/answers/images.csv.out", folder, sagemaker_session=session)
    with open(f"{folder}/images.csv.out") as file:
        lines = [json.loads(line)["projection"] for line in file]

# Outside: the last component is the first in weight.
outside = (images - model["mean"]) @ model["v"]
np.testing.assert_allclose(outside[:500], answers, rtol=1e-4, atol=1e-3)
np.testing.assert_allclose(outside, lines, rtol=1e-4, atol=1e-3)

print(f"score     shares of the variance: {np.round(shares, 3)} in {SIZES} components")
print(f"best      {SIZES[chosen]} components")
print(f"first     digit's first two: {np.round(outside[0, [-1, -2]], 2)}")
print(f"outside   NumPy says the same of {len(images)} digits as endpoint and transform")
