"""SDK v3, as its documentation uses it; each function answers what it saw, as JSON."""

import io
import json
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.remote_function import remote
from sagemaker.core.resources import Endpoint, TrainingJob
from sagemaker.serve import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode

HERE = Path(__file__).parents[1]
EXAMPLES = HERE.parents[2] / "examples"

session = Session()
region = session.boto_region_name
role = get_execution_role(session)
compute = Compute(instance_type="ml.m5.large", instance_count=1)
rng = np.random.default_rng(7)
features = rng.normal(size=(400, 4))
labels = (features[:, 0] + features[:, 1] > 0).astype(int)
body = "\n".join(",".join(f"{value:.5f}" for value in row) for row in features)


def train(trainer, channel="train"):
    """Train on a local folder, without the SDK's long sleeps; return the finished job."""
    with tempfile.TemporaryDirectory() as folder:
        rows = np.column_stack([labels, features])
        np.savetxt(Path(folder) / "train.csv", rows, delimiter=",", fmt="%.5f")
        given = InputData(channel_name=channel, data_source=folder, content_type="text/csv")
        trainer.train(input_data_config=[given], wait=False, logs=False)
    job = trainer._latest_training_job
    for _ in range(1200):
        job.refresh()
        if job.training_job_status in {"Completed", "Failed", "Stopped"}:
            break
        time.sleep(0.1)
    assert job.training_job_status == "Completed", job.failure_reason
    return job


def xgboost_trainer(version="1.7-1"):
    return ModelTrainer(
        training_image=image_uris.retrieve("xgboost", region, version),
        base_job_name="v3-xgboost",
        compute=compute,
        role=role,
        hyperparameters={"objective": "binary:logistic", "num_round": 20, "eval_metric": "auc"},
        sagemaker_session=session,
    )


def script():
    """Run an entry script with its requirements; look the job up."""
    trainer = ModelTrainer(
        training_image=image_uris.retrieve("sklearn", region, "1.2-1"),
        base_job_name="v3-script",
        source_code=SourceCode(
            source_dir=str(EXAMPLES / "sklearn"), entry_script="train.py", requirements="requirements.txt"
        ),
        compute=compute,
        role=role,
        hyperparameters={"n-estimators": 20, "max-depth": 6},
        environment={"COLOUR": "light blue"},
        sagemaker_session=session,
    )
    job = train(trainer)
    found = TrainingJob.get(training_job_name=job.training_job_name)
    names = [each.training_job_name for each in TrainingJob.get_all(status_equals="Completed")]
    return {
        "arn": found.training_job_arn,
        "same": job.training_job_arn,
        "hyperparameters": found.hyper_parameters,
        "is_listed": job.training_job_name in names,
        "logs": logs_of(job),
        "model": found.model_artifacts.s3_model_artifacts,
    }


def logs_of(job):
    logs = session.boto_session.client("logs")
    given = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    streams = logs.describe_log_streams(**given, logStreamNamePrefix=job.training_job_name)["logStreams"]
    events = logs.get_log_events(**given, logStreamName=streams[0]["logStreamName"], startFromHead=True)
    return "\n".join(event["message"] for event in events["events"])


def command():
    """Run a command, in the folder of the source; return the model's files."""
    trainer = ModelTrainer(
        training_image=image_uris.retrieve("sklearn", region, "1.2-1"),
        base_job_name="v3-command",
        source_code=SourceCode(
            source_dir=str(EXAMPLES / "sklearn"),
            command="python train.py --n-estimators 5 && cp train.py $SM_MODEL_DIR",
        ),
        compute=compute,
        role=role,
        sagemaker_session=session,
    )
    job = train(trainer)
    bucket, _, key = job.model_artifacts.s3_model_artifacts.removeprefix("s3://").partition("/")
    packed = session.boto_session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return sorted(member.name.removeprefix("./") for member in archive if member.isfile())


def deploy(builder):
    """Build and deploy without the SDK's long sleeps; return the endpoint."""
    builder.build()
    name = time.strftime("v3-%H%M%S")
    builder.deploy(endpoint_name=name, initial_instance_count=1, instance_type="ml.m5.large", wait=False)
    endpoint = Endpoint.get(endpoint_name=name)
    endpoint.wait_for_status("InService", poll=1)
    return endpoint


def remove(endpoint):
    """Delete the endpoint, its config and its model."""
    client = session.boto_session.client("sagemaker")
    config = client.describe_endpoint_config(EndpointConfigName=endpoint.endpoint_config_name)
    endpoint.delete()
    client.delete_endpoint_config(EndpointConfigName=endpoint.endpoint_config_name)
    client.delete_model(ModelName=config["ProductionVariants"][0]["ModelName"])


def builders_of_a_built_in():
    """Serve built-in XGBoost from its image and its model's address, and from the trainer."""
    trainer = xgboost_trainer()
    job = train(trainer)
    common = {
        "image_uri": image_uris.retrieve("xgboost", region, "1.7-1"),
        "role_arn": role,
        "instance_type": "ml.m5.large",
        "sagemaker_session": session,
    }
    address = ModelBuilder(s3_model_data_url=job.model_artifacts.s3_model_artifacts, **common)
    return {"address": accuracy(address), "trainer": accuracy(ModelBuilder(model=trainer, **common))}


def accuracy(builder):
    endpoint = deploy(builder)
    answer = endpoint.invoke(body=body, content_type="text/csv", accept="text/csv")
    text = answer.body.read().decode()
    remove(endpoint)
    scores = np.array(text.replace("\n", ",").strip(",").split(","), dtype=float)
    return float(np.mean((scores > 0.5) == labels))


def builder_of_a_script():
    """Serve a script's model with the script's own functions; the SDK packs the two together."""
    image = image_uris.retrieve("sklearn", region, "1.2-1")
    source = SourceCode(source_dir=str(EXAMPLES / "sklearn"), entry_script="train.py")
    trainer = ModelTrainer(
        training_image=image,
        base_job_name="v3-builder",
        source_code=source,
        compute=compute,
        role=role,
        hyperparameters={"n-estimators": 20},
        sagemaker_session=session,
    )
    job = train(trainer)
    builder = ModelBuilder(
        s3_model_data_url=job.model_artifacts.s3_model_artifacts,
        image_uri=image,
        source_code=source,
        role_arn=role,
        instance_type="ml.m5.large",
        sagemaker_session=session,
    )
    endpoint = deploy(builder)
    answer = endpoint.invoke(
        body=json.dumps(features.tolist()), content_type="application/json", accept="application/json"
    )
    guesses = np.array(json.loads(answer.body.read()))
    remove(endpoint)
    return float(np.mean(guesses == labels))


def remote_function():
    """Call a function as a job; return its answer and the local one."""

    @remote(
        image_uri=image_uris.retrieve("sklearn", region, "1.2-1"),
        instance_type="ml.m5.large",
        role=role,
        sagemaker_session=session,
    )
    def total(rows):
        return float(rows.sum())

    return [total(features), float(features.sum())]
