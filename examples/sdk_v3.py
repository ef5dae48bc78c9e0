"""SageMaker Python SDK v3: ModelTrainer, with a built-in algorithm and with one's own source.

clary run -- .venvs/sdk3/bin/python examples/sdk_v3.py
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, SourceCode

HERE = Path(__file__).parent

session = Session()
role = get_execution_role(session)
bucket = session.default_bucket()
compute = Compute(instance_type="ml.m5.large", instance_count=1)
print(f"role      {role}")

rng = np.random.default_rng(7)
features = rng.normal(size=(1000, 5))
labels = (features[:, 0] + features[:, 1] > 0).astype(int)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "train.csv"
    np.savetxt(path, np.column_stack([labels, features])[:800], delimiter=",", fmt="%.5f")
    train = InputData(
        channel_name="train",
        data_source=session.upload_data(str(path), bucket, "sdk-v3"),
        content_type="text/csv",
    )

print("\n--- built-in XGBoost")
image = image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1")
trainer = ModelTrainer(
    training_image=image,
    base_job_name="sdk-v3-xgboost",
    compute=compute,
    role=role,
    hyperparameters={"objective": "binary:logistic", "num_round": 50},
    output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/sdk-v3/output"),
    sagemaker_session=session,
)
trainer.train(input_data_config=[train])
job = trainer._latest_training_job
print(f"model     {job.model_artifacts.s3_model_artifacts}")

name = time.strftime("sdk-v3-%Y%m%d-%H%M%S")
model = Model.create(
    model_name=name,
    primary_container=ContainerDefinition(image=image, model_data_url=job.model_artifacts.s3_model_artifacts),
    execution_role_arn=role,
)
variant = ProductionVariant(
    variant_name="AllTraffic", model_name=name, instance_type="ml.m5.large", initial_instance_count=1
)
config = EndpointConfig.create(endpoint_config_name=name, production_variants=[variant])
endpoint = Endpoint.create(endpoint_name=name, endpoint_config_name=name)
endpoint.wait_for_status("InService", poll=1)
body = "\n".join(",".join(f"{value:.5f}" for value in row) for row in features[800:])
answer = endpoint.invoke(body=body, content_type="text/csv", accept="text/csv")
scores = np.array(answer.body.read().decode().replace("\n", ",").strip(",").split(","), dtype=float)
print(f"accuracy  {np.mean((scores > 0.5) == labels[800:]):.3f}")
endpoint.delete()
config.delete()
model.delete()

print("\n--- scikit-learn, from a source folder")
trainer = ModelTrainer(
    training_image=image_uris.retrieve("sklearn", session.boto_region_name, "1.2-1"),
    base_job_name="sdk-v3-sklearn",
    source_code=SourceCode(
        source_dir=str(HERE / "sklearn"), entry_script="train.py", requirements="requirements.txt"
    ),
    compute=compute,
    role=role,
    hyperparameters={"n-estimators": 50, "max-depth": 6},
    sagemaker_session=session,
)
trainer.train(input_data_config=[train])
print(f"model     {trainer._latest_training_job.model_artifacts.s3_model_artifacts}")
