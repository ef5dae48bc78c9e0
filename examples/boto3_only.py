"""Train, host and ask XGBoost with nothing but boto3.

clary run -- python examples/boto3_only.py
"""

import contextlib
import io
import time

import boto3
import numpy as np
from botocore.exceptions import WaiterError

region = boto3.session.Session().region_name
sagemaker = boto3.client("sagemaker")
runtime = boto3.client("sagemaker-runtime")
s3 = boto3.client("s3")
identity = boto3.client("sts").get_caller_identity()
account = identity["Account"]

name = time.strftime("boto3-only-%Y%m%d-%H%M%S")
bucket = f"sagemaker-{region}-{account}"
role = f"arn:aws:iam::{account}:role/{identity['Arn'].split('/')[1]}"  # the caller is an assumed role
image = f"683313688378.dkr.ecr.{region}.amazonaws.com/sagemaker-xgboost:1.7-1"

# Data: is the sum of the first two of five columns positive? CSV, label first, no header.
rng = np.random.default_rng(7)
features = rng.normal(size=(1000, 5))
labels = (features[:, 0] + features[:, 1] > 0).astype(int)
text = io.StringIO()
np.savetxt(text, np.column_stack([labels, features])[:800], delimiter=",", fmt="%.5f")

try:
    s3.head_bucket(Bucket=bucket)
except s3.exceptions.ClientError:
    s3.create_bucket(Bucket=bucket)
s3.put_object(Bucket=bucket, Key=f"{name}/train.csv", Body=text.getvalue())
print(f"uploaded  s3://{bucket}/{name}/train.csv")

sagemaker.create_training_job(
    TrainingJobName=name,
    AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
    RoleArn=role,
    HyperParameters={"objective": "binary:logistic", "num_round": "50", "max_depth": "3"},
    InputDataConfig=[
        {
            "ChannelName": "train",
            "ContentType": "text/csv",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": f"s3://{bucket}/{name}/train.csv",
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
        }
    ],
    OutputDataConfig={"S3OutputPath": f"s3://{bucket}/{name}/output"},
    ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
    StoppingCondition={"MaxRuntimeInSeconds": 600},
)
waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
with contextlib.suppress(WaiterError):  # a failed job is an error to the waiter; its reason is read below
    waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
job = sagemaker.describe_training_job(TrainingJobName=name)
print(f"training  {job['TrainingJobStatus']} {job.get('FailureReason', '')}")
if job["TrainingJobStatus"] != "Completed":
    raise SystemExit(1)

sagemaker.create_model(
    ModelName=name,
    ExecutionRoleArn=role,
    PrimaryContainer={"Image": image, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]},
)
sagemaker.create_endpoint_config(
    EndpointConfigName=name,
    ProductionVariants=[
        {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 1.0,
        }
    ],
)
sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
waiter = sagemaker.get_waiter("endpoint_in_service")
with contextlib.suppress(WaiterError):
    waiter.wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
endpoint = sagemaker.describe_endpoint(EndpointName=name)
print(f"endpoint  {endpoint['EndpointStatus']} {endpoint.get('FailureReason', '')}")
if endpoint["EndpointStatus"] != "InService":
    raise SystemExit(1)

body = io.StringIO()
np.savetxt(body, features[800:], delimiter=",", fmt="%.5f")
answer = runtime.invoke_endpoint(
    EndpointName=name, ContentType="text/csv", Accept="text/csv", Body=body.getvalue()
)
scores = np.array(answer["Body"].read().decode().replace("\n", ",").strip(",").split(","), dtype=float)
accuracy = np.mean((scores > 0.5) == labels[800:])
print(f"accuracy  {accuracy:.3f} on {len(scores)} rows it has not seen")

sagemaker.delete_endpoint(EndpointName=name)
sagemaker.delete_endpoint_config(EndpointConfigName=name)
sagemaker.delete_model(ModelName=name)
print("deleted   endpoint, endpoint config, model")
if accuracy < 0.9:
    raise SystemExit("the model is worse than it should be")
