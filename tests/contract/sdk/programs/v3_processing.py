"""Processors of SDK v3; each function answers what it saw, as JSON."""

import json
import tempfile
import time
from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.processing import FrameworkProcessor, Processor, ScriptProcessor
from sagemaker.core.resources import ProcessingJob
from sagemaker.core.shapes import (
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)

CODE = Path(__file__).parents[1] / "processing"
SOURCE = Path(__file__).parents[1] / "source"
session = Session()
role = get_execution_role(session)
sklearn = image_uris.retrieve("sklearn", session.boto_region_name, "1.2-1")
machine = {
    "image_uri": sklearn,
    "role": role,
    "instance_count": 1,
    "instance_type": "ml.t3.medium",
    "sagemaker_session": session,
}


def inputs():
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "0.csv").write_text("1,2\n3,4\n")
        uri = session.upload_data(folder, key_prefix="raw")
    path = "/opt/ml/processing/input/raw"
    source = ProcessingS3Input(s3_uri=uri, local_path=path, s3_data_type="S3Prefix", s3_input_mode="File")
    return [ProcessingInput(input_name="raw", s3_input=source)]


def outputs():
    target = ProcessingS3Output(
        s3_uri=f"s3://{session.default_bucket()}/clean",
        local_path="/opt/ml/processing/output/clean",
        s3_upload_mode="EndOfJob",
    )
    return [ProcessingOutput(output_name="clean", s3_output=target)]


def wait(processor):
    name = processor.latest_job.processing_job_name
    for _ in range(1800):
        job = ProcessingJob.get(name)
        if job.processing_job_status in {"Completed", "Failed", "Stopped"}:
            break
        time.sleep(0.1)
    return {
        "status": job.processing_job_status,
        "reason": str(job.failure_reason),
        "message": str(job.exit_message),
    }


def seen():
    return json.loads(session.read_s3_file(session.default_bucket(), "clean/seen.json"))


def script_processor():
    processor = ScriptProcessor(command=["python3"], **machine)
    processor.run(code=str(CODE / "clean.py"), inputs=inputs(), outputs=outputs(), wait=False)
    return {**wait(processor), "seen": seen()}


def framework_processor():
    processor = FrameworkProcessor(command=["python3"], **machine)
    with tempfile.TemporaryDirectory() as source:
        for path in (CODE / "clean.py", SOURCE / "requirements.txt"):
            (Path(source) / path.name).write_text(path.read_text())
        processor.run(code="clean.py", source_dir=source, inputs=inputs(), outputs=outputs(), wait=False)
    return {**wait(processor), "seen": seen()}


def plain_processor():
    said = "from pathlib import Path; Path('/opt/ml/output/message').write_text('plain')"
    processor = Processor(entrypoint=["python3", "-c", said], **machine)
    processor.run(wait=False, logs=False)
    return wait(processor)
