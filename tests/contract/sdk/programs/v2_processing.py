"""Processors of SDK v2, as its documentation uses them; each function answers what it saw, as JSON."""

import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

import boto3
import sagemaker
from botocore.exceptions import ClientError
from sagemaker import image_uris
from sagemaker.network import NetworkConfig
from sagemaker.processing import (
    FrameworkProcessor,
    ProcessingInput,
    ProcessingOutput,
    Processor,
    ScriptProcessor,
)
from sagemaker.sklearn import SKLearn
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.spark.processing import PySparkProcessor

CODE = Path(__file__).parents[1] / "processing"
SOURCE = Path(__file__).parents[1] / "source"
session = sagemaker.Session()
role = sagemaker.get_execution_role()
sklearn = image_uris.retrieve("sklearn", session.boto_region_name, "1.2-1")
machine = {"role": role, "instance_count": 1, "instance_type": "ml.t3.medium", "sagemaker_session": session}


def raw(folder):
    """Write two files of rows."""
    for n in range(2):
        (Path(folder) / f"{n}.csv").write_text("1,2\n3,4\n")
    return str(folder)


def inputs(folder):
    return [ProcessingInput(source=raw(folder), destination="/opt/ml/processing/input/raw", input_name="raw")]


def outputs():
    return [ProcessingOutput(source="/opt/ml/processing/output/clean", output_name="clean")]


def wait(processor):
    """Wait in shorter steps than `run` does; return what the job left and said."""
    job = processor.latest_job
    for _ in range(1800):
        described = job.describe()
        if described["ProcessingJobStatus"] in {"Completed", "Failed", "Stopped"}:
            break
        time.sleep(0.1)
    answer = {
        "status": described["ProcessingJobStatus"],
        "reason": described.get("FailureReason", ""),
        "message": described.get("ExitMessage", ""),
    }
    for output in described.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        with contextlib.suppress(ClientError):
            text = session.read_s3_file(*place(output["S3Output"]["S3Uri"] + "/seen.json"))
            answer["seen"] = json.loads(text)
    return answer


def place(uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def sklearn_processor():
    processor = SKLearnProcessor(framework_version="1.2-1", base_job_name="clean", **machine)
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(printed):
        processor.run(
            code=str(CODE / "clean.py"),
            inputs=inputs(folder),
            outputs=outputs(),
            arguments=["--keep", "0.5"],
            wait=False,
        )
        answer = wait(processor)
        processor.latest_job.wait(logs=True)
    return {**answer, "logs": printed.getvalue()}


def script_processor():
    processor = ScriptProcessor(
        image_uri=sklearn,
        command=["python3"],
        env={"A": "b"},
        max_runtime_in_seconds=300,
        network_config=NetworkConfig(enable_network_isolation=False),
        tags=[{"Key": "k", "Value": "v"}],
        **machine,
    )
    with tempfile.TemporaryDirectory() as folder:
        processor.run(code=str(CODE / "clean.py"), inputs=inputs(folder), outputs=outputs(), wait=False)
    answer = wait(processor)
    arn = processor.latest_job.describe()["ProcessingJobArn"]
    return {**answer, "tags": boto3.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]}


def framework_processor():
    processor = FrameworkProcessor(estimator_cls=SKLearn, framework_version="1.2-1", **machine)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as source:
        for path in (CODE / "clean.py", SOURCE / "requirements.txt"):
            (Path(source) / path.name).write_text(path.read_text())
        processor.run(
            code="clean.py", source_dir=source, inputs=inputs(folder), outputs=outputs(), wait=False
        )
    return wait(processor)


def plain_processor():
    """Run an image's command, with no code of the SDK's; the second job fails, and `run` says so."""
    said = "from pathlib import Path; Path('/opt/ml/output/message').write_text('plain')"
    processor = Processor(image_uri=sklearn, entrypoint=["python3", "-c", said], **machine)
    processor.run(wait=False, logs=False)
    answer = wait(processor)
    failing = Processor(image_uri=sklearn, entrypoint=["python3", "-c", "raise KeyError('gone')"], **machine)
    failing.run(wait=False, logs=False)
    return [answer, wait(failing)]


def spark_processor():
    processor = PySparkProcessor(framework_version="3.3", base_job_name="spark", **machine)
    try:
        processor.run(submit_app=str(CODE / "clean.py"), wait=False)
    except ClientError as error:
        return str(error)
    return ""
