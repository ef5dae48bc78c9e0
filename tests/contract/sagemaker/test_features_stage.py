"""A pipeline fitted by the library, exported, answers behind an endpoint as it does in memory."""

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from clary.kernel import ids
from clary.testing.jobs import SCIKIT_LEARN, new_bucket, wait_for_endpoint
from clary.toolkit import features

pytestmark = pytest.mark.timeout(180)


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
