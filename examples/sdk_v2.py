"""SageMaker Python SDK v2: a built-in algorithm, then a script of one's own.

clary run -- .venvs/sdk2/bin/python examples/sdk_v2.py
"""

import tempfile
from pathlib import Path

import numpy as np
import sagemaker
from sagemaker import image_uris
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer
from sagemaker.sklearn import SKLearn

HERE = Path(__file__).parent

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()
print(f"role      {role}")

rng = np.random.default_rng(7)
features = rng.normal(size=(1000, 5))
labels = (features[:, 0] + features[:, 1] > 0).astype(int)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "train.csv"
    np.savetxt(path, np.column_stack([labels, features])[:800], delimiter=",", fmt="%.5f")
    train = TrainingInput(session.upload_data(str(path), key_prefix="sdk-v2"), content_type="text/csv")

print("\n--- built-in XGBoost")
xgboost = Estimator(
    image_uri=image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1"),
    role=role,
    instance_count=1,
    instance_type="ml.m5.large",
    output_path=f"s3://{bucket}/sdk-v2/output",
    hyperparameters={"objective": "binary:logistic", "num_round": 50},
    sagemaker_session=session,
)
xgboost.fit({"train": train})
predictor = xgboost.deploy(
    initial_instance_count=1,
    instance_type="ml.m5.large",
    serializer=CSVSerializer(),
    deserializer=CSVDeserializer(),
    wait=False,
)
session.wait_for_endpoint(predictor.endpoint_name, poll=1)
answer = predictor.predict(features[800:])
scores = np.array([float(value) for line in answer for value in line])
print(f"accuracy  {np.mean((scores > 0.5) == labels[800:]):.3f}")
predictor.delete_model()
predictor.delete_endpoint()

print("\n--- scikit-learn, from source_dir with requirements.txt")
forest = SKLearn(
    entry_point="train.py",
    source_dir=str(HERE / "sklearn"),
    framework_version="1.2-1",
    role=role,
    instance_type="ml.m5.large",
    hyperparameters={"n-estimators": 50, "max-depth": 6},
    metric_definitions=[{"Name": "train:accuracy", "Regex": r"train-accuracy=(\S+)"}],
    sagemaker_session=session,
)
forest.fit({"train": train}, logs=False)  # waits as well, and looks more often
predictor = forest.deploy(initial_instance_count=1, instance_type="ml.m5.large", wait=False)
session.wait_for_endpoint(predictor.endpoint_name, poll=1)
guesses = predictor.predict(features[800:])
print(f"accuracy  {np.mean(guesses == labels[800:]):.3f}")
predictor.delete_model()
predictor.delete_endpoint()
