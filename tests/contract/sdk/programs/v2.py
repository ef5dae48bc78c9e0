"""SDK v2, as its documentation uses it; each function answers what it saw, as JSON."""

import contextlib
import io
import json
import tarfile
import tempfile
import time
from pathlib import Path

import boto3
import numpy as np
import sagemaker
from botocore.exceptions import ClientError
from sagemaker import image_uris
from sagemaker.deserializers import CSVDeserializer, JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.inputs import TrainingInput
from sagemaker.predictor import Predictor
from sagemaker.pytorch import PyTorch
from sagemaker.remote_function import remote
from sagemaker.remote_function.errors import RemoteFunctionError
from sagemaker.serializers import CSVSerializer, JSONSerializer, NumpySerializer
from sagemaker.sklearn import SKLearn, SKLearnModel
from sagemaker.xgboost import XGBoost

HERE = Path(__file__).parents[1]
EXAMPLES = HERE.parents[2] / "examples"

session = sagemaker.Session()
region = session.boto_region_name
rng = np.random.default_rng(7)
features = rng.normal(size=(400, 4))
labels = (features[:, 0] + features[:, 1] > 0).astype(int)


def train_data():
    """Upload the data; return its URI."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        np.savetxt(path, np.column_stack([labels, features]), delimiter=",", fmt="%.5f")
        return session.upload_data(str(path), key_prefix="data")


def wait(name):
    """Wait for a job in shorter steps than `fit` does; return its description."""
    client = boto3.client("sagemaker")
    for _ in range(1200):
        described = client.describe_training_job(TrainingJobName=name)
        if described["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"}:
            return described
        time.sleep(0.1)
    raise TimeoutError(name)


def fit(estimator, **channels):
    """Fit without the SDK's long sleeps; return the finished job's description."""
    estimator.fit(channels or None, wait=False)
    described = wait(estimator.latest_training_job.name)
    assert described["TrainingJobStatus"] == "Completed", described["FailureReason"]
    return described


def deploy(model, **arguments):
    """Deploy without the SDK's long sleeps."""
    predictor = model.deploy(initial_instance_count=1, instance_type="ml.m5.large", wait=False, **arguments)
    session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
    return predictor


def remove(predictor):
    predictor.delete_model()
    predictor.delete_endpoint()


def logs_of(name):
    """Return what `Session.logs_for_job` prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        session.logs_for_job(name, wait=False)
    return text.getvalue()


def who_and_where():
    """Ask for the role and the bucket; take a file up and down."""
    with tempfile.TemporaryDirectory() as folder:
        up = Path(folder) / "up"
        (up / "deeper").mkdir(parents=True)
        (up / "a.txt").write_text("one")
        (up / "deeper/b.txt").write_text("two")
        uri = session.upload_data(str(up), key_prefix="round")
        down = Path(folder) / "down"
        session.download_data(str(down), session.default_bucket(), key_prefix="round")
        back = {str(path.relative_to(down)): path.read_text() for path in down.rglob("*.txt")}
    return {
        "role": sagemaker.get_execution_role(),
        "bucket": session.default_bucket(),
        "account": session.account_id(),
        "uri": uri,
        "back": back,
        "keys": sorted(session.list_s3_files(session.default_bucket(), "round")),
        "text": session.read_s3_file(session.default_bucket(), "round/a.txt"),
    }


def xgboost_images():
    """Return the image of every version that the SDK knows, and the names they are asked by."""
    config = image_uris.config_for_framework("xgboost")["training"]
    versions = [*config["versions"], *config.get("version_aliases", {})]
    return {version: image_uris.retrieve("xgboost", region, version) for version in versions}


def built_in_xgboost(version):
    """Train, look at logs and metrics, attach, deploy, ask, update, delete."""
    estimator = Estimator(
        image_uri=image_uris.retrieve("xgboost", region, version),
        role=sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.large",
        output_path=f"s3://{session.default_bucket()}/xgboost",
        sagemaker_session=session,
    )
    estimator.set_hyperparameters(objective="binary:logistic", num_round=20, max_depth=3, eval_metric="auc")
    train = TrainingInput(train_data(), content_type="text/csv")
    described = fit(estimator, train=train, validation=train)
    name = described["TrainingJobName"]
    with contextlib.redirect_stdout(io.StringIO()):
        estimator.logs()
    attached = Estimator.attach(name, sagemaker_session=session)
    predictor = deploy(attached, serializer=CSVSerializer(), deserializer=CSVDeserializer())
    answer = predictor.predict(features)
    scores = np.array([float(value) for line in answer for value in line])
    client = boto3.client("sagemaker")
    before = client.describe_endpoint(EndpointName=predictor.endpoint_name)["EndpointConfigName"]
    predictor.update_endpoint(initial_instance_count=2, instance_type="ml.m5.large", wait=False)
    session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
    after = client.describe_endpoint(EndpointName=predictor.endpoint_name)
    again = predictor.predict(features[:3])
    client.delete_endpoint_config(EndpointConfigName=before)
    remove(predictor)
    with contextlib.suppress(ClientError):
        session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
    frame = estimator.training_job_analytics.dataframe()
    return {
        "job": name,
        "model": attached.model_data,
        "expected_model": described["ModelArtifacts"]["S3ModelArtifacts"],
        "logs": logs_of(name),
        "metrics": sorted(set(frame["metric_name"])),
        "last_auc": float(frame[frame["metric_name"] == "validation:auc"]["value"].iloc[-1]),
        "accuracy": float(np.mean((scores > 0.5) == labels)),
        "was_updated": before != after["EndpointConfigName"],
        "instances": after["ProductionVariants"][0]["CurrentInstanceCount"],
        "n_again": len([value for line in again for value in line]),
        "left": [each["EndpointName"] for each in client.list_endpoints()["Endpoints"]],
        "models_left": [each["ModelName"] for each in client.list_models()["Models"]],
        "configs_left": [
            each["EndpointConfigName"] for each in client.list_endpoint_configs()["EndpointConfigs"]
        ],
    }


def xgboost_script():
    """Script mode of the XGBoost container, served by the functions of the same script."""
    estimator = XGBoost(
        entry_point="train.py",
        source_dir=str(EXAMPLES / "xgboost"),
        framework_version="1.7-1",
        role=sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.large",
        hyperparameters={"num-round": 20, "max-depth": 3},
        sagemaker_session=session,
    )
    described = fit(estimator, train=train_data())
    predictor = deploy(estimator, serializer=JSONSerializer(), deserializer=JSONDeserializer())
    answer = predictor.predict({"instances": features.tolist()})
    remove(predictor)
    scores = np.array(answer["predictions"])
    return {
        "accuracy": float(np.mean((scores > 0.5) == labels)),
        "logs": logs_of(described["TrainingJobName"]),
    }


def sklearn_estimator(**changes):
    arguments = {
        "entry_point": "train.py",
        "source_dir": str(HERE / "source"),
        "dependencies": [str(HERE / "beside/toolbox")],
        "framework_version": "1.2-1",
        "role": sagemaker.get_execution_role(),
        "instance_type": "ml.m5.large",
        "environment": {"COLOUR": "light blue"},
        "metric_definitions": [{"Name": "accuracy", "Regex": r"accuracy=(\S+)"}],
        "sagemaker_session": session,
    }
    return SKLearn(**arguments | changes)


GIVEN = {
    "text": "two words",
    "whole": 3,
    "part": 0.25,
    "flag": True,
    "list": [1, "two", 3.0],
    "map": {"a": {"b": [None, False]}},
    "nothing": None,
}


def sklearn_script():
    """One job with everything, and one more with the same requirements."""
    estimator = sklearn_estimator(hyperparameters=GIVEN)
    described = fit(estimator, train=train_data())
    name = described["TrainingJobName"]
    bucket = session.default_bucket()
    packed = session.boto_session.client("s3").get_object(Bucket=bucket, Key=f"{name}/output/output.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(packed["Body"].read())) as archive:
        file = archive.extractfile("given.json")
        given = json.load(file)
    again = fit(estimator, train=train_data())
    return {
        "given": given,
        "hyperparameters": estimator.hyperparameters(),
        "first": logs_of(name),
        "second": logs_of(again["TrainingJobName"]),
        "metrics": described["FinalMetricDataList"][0]["MetricName"],
        "model": estimator.model_data,
        "attached": SKLearn.attach(name, sagemaker_session=session).model_data,
    }


def sklearn_models(model):
    """Serve one model by functions of its own, by `transform_fn`, and by the defaults."""
    answers = {}
    for name in ("functions", "whole", "plain"):
        served = SKLearnModel(
            model_data=model,
            role=sagemaker.get_execution_role(),
            entry_point=f"{name}.py",
            source_dir=str(HERE / "inference"),
            framework_version="1.2-1",
            sagemaker_session=session,
        )
        predictor = deploy(served)
        answers[name] = asked(predictor, name)
        remove(predictor)
    return answers


def asked(predictor, name):
    """Ask in the formats that the functions know."""

    def predict(rows, serializer, deserializer):
        other = Predictor(predictor.endpoint_name, session, serializer=serializer, deserializer=deserializer)
        return other.predict(rows)

    five = features[:5]
    if name == "whole":
        return predict(five.tolist(), JSONSerializer(), JSONDeserializer())
    npy = predictor.predict(five)
    wire = {"instances": five.tolist()} if name == "functions" else five.tolist()
    answers = {
        "npy": npy.tolist(),
        "json": predict(wire, JSONSerializer(), JSONDeserializer()),
        "csv": predict(five, CSVSerializer(), CSVDeserializer()),
    }
    try:
        predict(five, NumpySerializer(content_type="image/png"), JSONDeserializer())
    except ClientError as error:
        answers["refused"] = [error.response["Error"]["Code"], error.response["OriginalStatusCode"]]
        answers["why"] = error.response["OriginalMessage"]
    return answers


def raising_script():
    """Return what the SDK raises for a script that raises."""
    estimator = sklearn_estimator(entry_point="raising.py", dependencies=[])
    estimator.fit(wait=False)
    try:
        session.wait_for_job(estimator.latest_training_job.name, poll=0.2)
    except UnexpectedStatusException as error:
        return {"message": str(error), "status": error.actual_status}
    return {}


def pytorch_refusal():
    """Return why a PyTorch job is refused."""
    try:
        pytorch_estimator().fit(wait=False)
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["Error"]["Message"]]
    return []


def pytorch_estimator():
    return PyTorch(
        entry_point="train.py",
        source_dir=str(EXAMPLES / "pytorch"),
        framework_version="2.1",
        py_version="py310",
        role=sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.large",
        hyperparameters={"epochs": 60},
        sagemaker_session=session,
    )


def pytorch_script():
    """Train and serve the example."""
    estimator = pytorch_estimator()
    fit(estimator, train=train_data())
    predictor = deploy(estimator, serializer=JSONSerializer(), deserializer=JSONDeserializer())
    answer = predictor.predict({"instances": features.tolist()})
    remove(predictor)
    return float(np.mean((np.array(answer["predictions"]) > 0.5) == labels))


def deleting_what_is_not_there():
    """Return what the SDK is told that deletes an endpoint which is not there."""
    try:
        session.delete_endpoint("never-made")
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["Error"]["Message"]]
    return []


def remote_functions(folder):
    """Call functions as jobs: one with requirements of its own, one that raises."""
    requirements = Path(folder) / "requirements.txt"
    requirements.write_text("tabulate\n")
    given = {
        "image_uri": image_uris.retrieve("sklearn", region, "1.2-1"),
        "instance_type": "ml.m5.large",
        "role": sagemaker.get_execution_role(),
        "sagemaker_session": session,
    }

    @remote(**given, dependencies=str(requirements))
    def table(rows):
        import tabulate  # noqa: PLC0415 - in the job only

        return tabulate.tabulate(rows, tablefmt="plain")

    @remote(**given)
    def fail():
        raise ZeroDivisionError("by hand")

    try:
        fail()
    except (ZeroDivisionError, RemoteFunctionError) as error:
        raised = [type(error).__name__, str(error)]
    return {"table": table([[1, 2], [3, 4]]), "raised": raised}
