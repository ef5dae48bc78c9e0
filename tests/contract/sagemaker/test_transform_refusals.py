"""What CreateTransformJob refuses, and by which words."""

import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import upload_csv
from clary.testing.transform import create_model, transform_request


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture(scope="module")
def bucket(account):
    return upload_csv(account, "in/a.csv", [[1, 2]])


@pytest.fixture(scope="module")
def model(account, bucket):
    return create_model(account, f"s3://{bucket}/in/a.csv")  # never asked


def refused(account, model, bucket, **members):
    request = transform_request(model, f"s3://{bucket}/in", f"s3://{bucket}/refused", **members)
    with pytest.raises(ClientError) as caught:
        account.client("sagemaker").create_transform_job(**request)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return caught.value.response["Error"]["Message"]


@pytest.mark.documented
@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"ModelName": "not-there"}, "Could not find model"),
        ({"MaxPayloadInMB": 101}, "MaxPayloadInMB 101"),
        ({"MaxPayloadInMB": 26, "MaxConcurrentTransforms": 4}, "cannot exceed 100 MB"),
        ({"split": "None", "BatchStrategy": "SingleRecord"}, "SplitType"),
        ({"TransformResources": {"InstanceCount": 101}}, "InstanceCount 101"),
        ({"DataProcessing": {"InputFilter": "x"}}, "InputFilter is not a supported JSONPath"),
        ({"DataProcessing": {"InputFilter": "$.x"}}, "columns of CSV are chosen by index"),
        ({"DataProcessing": {"JoinSource": "Input"}, "content_type": "image/png"}, "ContentType 'image/png'"),
        ({"DataProcessing": {"JoinSource": "Input"}, "split": "TFRecord"}, "SplitType TFRecord"),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "TransformOutput": {"AssembleWith": "None"}},
            "AssembleWith must be Line",
        ),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "TransformOutput": {"Accept": "application/json"}},
            "must be of the same kind",
        ),
        ({"TransformOutput": {"S3OutputPath": "https://x/y"}}, "S3OutputPath 'https://x/y'"),
        (
            {
                "TransformInput": {
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "AugmentedManifestFile", "S3Uri": "s3://b/k"}
                    }
                }
            },
            "S3DataType 'AugmentedManifestFile'",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_create(account, model, bucket, members, text):
    assert text in refused(account, model, bucket, **members)
