"""Model data that is not there is refused when the model is made, not when it is served."""

import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import XGBOOST, new_bucket


@pytest.fixture
def others_bucket(clary_server):
    return new_bucket(clary_server.account())


@pytest.fixture(scope="module")
def account(clary_server):
    account = clary_server.account()
    account.client("s3").create_bucket(Bucket="model-data")
    account.client("s3").put_object(Bucket="model-data", Key="m/model.tar.gz", Body=b"x")
    return account


def created(account, name, *containers):
    given = {"PrimaryContainer": containers[0]} if len(containers) == 1 else {"Containers": list(containers)}
    return account.client("sagemaker").create_model(
        ModelName=name, ExecutionRoleArn=account.role_arn, **given
    )["ModelArn"]


def by_url(uri):
    return {"Image": XGBOOST, "ModelDataUrl": uri}


def by_source(uri, kind):
    how = "Gzip" if kind == "S3Object" else "None"
    source = {"S3Uri": uri, "S3DataType": kind, "CompressionType": how}
    return {"Image": XGBOOST, "ModelDataSource": {"S3DataSource": source}}


@pytest.mark.documented
@pytest.mark.parametrize(
    ("container", "uri"),
    [
        (by_url("s3://model-data/none.tar.gz"), "s3://model-data/none.tar.gz"),
        (by_url("s3://model-data/m/"), "s3://model-data/m/"),
        (by_url("s3://never-there-at-all/m.tar.gz"), "s3://never-there-at-all/m.tar.gz"),
        (by_source("s3://model-data/none", "S3Object"), "s3://model-data/none"),
        (by_source("s3://model-data/none/", "S3Prefix"), "s3://model-data/none/"),
    ],
)
def test_a_model_without_its_data_is_refused(account, container, uri):
    for containers in ([container], [by_url("s3://model-data/m/model.tar.gz"), container]):
        with pytest.raises(ClientError) as refused:
            created(account, "none", *containers)
        error = refused.value.response["Error"]
        assert (error["Code"], error["Message"]) == (
            "ValidationException",
            f"Could not find model data at {uri}.",
        )


def test_a_model_with_its_data_is_made(account):
    assert created(account, "url", by_url("s3://model-data/m/model.tar.gz"))
    assert created(account, "object", by_source("s3://model-data/m/model.tar.gz", "S3Object"))
    assert created(account, "prefix", by_source("s3://model-data/m/", "S3Prefix"))


def test_the_prefix_of_many_models_may_be_empty(account):
    assert created(account, "many", by_url("s3://model-data/later/") | {"Mode": "MultiModel"})


def test_what_is_in_anothers_bucket_is_told_when_it_is_served(account, others_bucket):
    assert created(account, "theirs", by_url(f"s3://{others_bucket}/model.tar.gz"))
