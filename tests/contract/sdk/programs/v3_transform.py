"""Batch transform of SDK v3; each function answers what it saw, as JSON."""

import time

from sagemaker.core.resources import TransformJob
from sagemaker.core.transformer import Transformer
from v3 import body, image_uris, region, role, session, train, xgboost_trainer

client = session.boto_session.client("sagemaker")


def built_in():
    """Train, create a model, transform with a join; look the job up as a resource."""
    job = train(xgboost_trainer())
    name = time.strftime("v3-batch-%H%M%S")
    client.create_model(
        ModelName=name,
        ExecutionRoleArn=role,
        PrimaryContainer={
            "Image": image_uris.retrieve("xgboost", region, "1.7-1"),
            "ModelDataUrl": job.model_artifacts.s3_model_artifacts,
        },
    )
    bucket = session.default_bucket()
    session.upload_string_as_file_body(body, bucket, "v3-batch/rows.csv", None)
    transformer = Transformer(
        model_name=name,
        instance_count=1,
        instance_type="ml.m5.large",
        assemble_with="Line",
        accept="text/csv",
        output_path=f"s3://{bucket}/v3-out",
        sagemaker_session=session,
    )
    transformer.transform(
        f"s3://{bucket}/v3-batch",
        content_type="text/csv",
        split_type="Line",
        join_source="Input",
        output_filter="$[-1]",
        wait=False,
        logs=False,
    )
    made = transformer.latest_transform_job
    name = made.transform_job_name if hasattr(made, "transform_job_name") else made.name
    found = TransformJob.get(transform_job_name=name)
    for _ in range(1200):
        found.refresh()
        if found.transform_job_status in {"Completed", "Failed", "Stopped"}:
            break
        time.sleep(0.1)
    listed = [each.transform_job_name for each in TransformJob.get_all(status_equals="Completed")]
    lines = session.read_s3_file(bucket, "v3-out/rows.csv.out").splitlines()
    return {
        "status": found.transform_job_status,
        "reason": str(found.failure_reason),
        "n": len(lines),
        "is_listed": name in listed,
        "scores": [0 <= float(line) <= 1 for line in lines].count(True),
    }
