"""A pipeline fitted by the library, exported, answers behind an endpoint as it does in memory."""

import io

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from clary.kernel import ids
from clary.testing.hosting import Hosting
from clary.testing.jobs import (
    SCIKIT_LEARN,
    new_bucket,
    training_request,
    upload_csv,
    wait_for_endpoint,
    wait_for_job,
)
from clary.toolkit import features

LINEAR = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"


def test_an_exported_pipeline_serves_rows_as_they_were(clary_server, tmp_path):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"amount": rng.normal(size=200), "shop": rng.choice(["a", "b"], 200)})
    columns = ColumnTransformer(
        [("amount", features.Standardise(), ["amount"]), ("shop", features.OneHot(), ["shop"])]
    )
    fitted = features.fit(
        Pipeline([("far", features.OutliersIQR(columns=["amount"])), ("all", columns)]), rows
    )
    account = clary_server.account()
    bucket, name = new_bucket(account), f"stage-{ids.short()}"
    archive = features.export(fitted, tmp_path)
    account.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=archive.read_bytes())
    sagemaker = account.client("sagemaker")
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=account.role_arn,
        PrimaryContainer={"Image": SCIKIT_LEARN, "ModelDataUrl": f"s3://{bucket}/model.tar.gz"},
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    try:
        described = wait_for_endpoint(account, name, limit_s=120)
        assert described["EndpointStatus"] == "InService", described.get("FailureReason")
        body = rows[:5].to_csv(header=False, index=False)
        answer = account.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=name, ContentType="text/csv", Accept="text/csv", Body=body
        )
        found = pd.read_csv(io.BytesIO(answer["Body"].read()), header=None)
        np.testing.assert_allclose(found.to_numpy(), fitted.transform(rows[:5]))
    finally:
        sagemaker.delete_endpoint(EndpointName=name)


LABEL = """
def model_fn(folder):
    return None

def transform_fn(model, data, content_type, accept):
    import json
    found = json.loads(data)["predictions"]
    return ",".join(str(int(each["predicted_label"])) for each in found), "text/csv"
"""


def test_fitted_features_a_linear_learner_and_a_script_stand_in_a_row(clary_server, tmp_path):
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"amount": rng.normal(50, 20, size=300), "shop": rng.choice(["a", "b"], 300)})
    label = (rows["amount"] > 50).astype(float)
    columns = ColumnTransformer(
        [("amount", features.Standardise(), ["amount"]), ("shop", features.OneHot(), ["shop"])]
    )
    fitted = features.fit(Pipeline([("all", columns)]), rows)
    hosting = Hosting.of(clary_server.account())
    account, sagemaker = hosting.account, hosting.sagemaker
    matrix = np.column_stack([label, fitted.transform(rows)])
    bucket = upload_csv(account, "train/data.csv", matrix, bucket=hosting.bucket)
    linear = {"predictor_type": "binary_classifier", "feature_dim": "3", "mini_batch_size": "50"}
    request = training_request(account, bucket, image=LINEAR, hyperparameters=linear)
    sagemaker.create_training_job(**request)
    trained = wait_for_job(account, request["TrainingJobName"])
    assert trained["TrainingJobStatus"] == "Completed", trained.get("FailureReason")
    archive = features.export(fitted, tmp_path)
    account.client("s3").put_object(Bucket=bucket, Key="features/model.tar.gz", Body=archive.read_bytes())
    containers = [
        {
            "Image": SCIKIT_LEARN,
            "ModelDataUrl": f"s3://{bucket}/features/model.tar.gz",
            "Environment": {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv"},
        },
        {"Image": LINEAR, "ModelDataUrl": trained["ModelArtifacts"]["S3ModelArtifacts"]},
        hosting.container(LABEL),
    ]
    name = f"row-{ids.short()}"
    sagemaker.create_model(ModelName=name, Containers=containers, ExecutionRoleArn=account.role_arn)
    try:
        endpoint = hosting.endpoint(hosting.config(hosting.variant(name)))
        body = rows[:40].to_csv(header=False, index=False).encode()
        answer = hosting.ask(endpoint, body, ContentType="text/csv", Accept="text/csv")
        found = np.array(answer.split(","), dtype=float)
        assert (found == label[:40]).mean() > 0.9
    finally:
        hosting.close()
