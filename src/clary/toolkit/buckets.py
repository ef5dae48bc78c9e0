"""Buckets of S3: made and removed."""

from typing import Any

from botocore.exceptions import ClientError

from clary.kernel.errors import CustomerError
from clary.toolkit.objects import Objects


class NotEmptyError(CustomerError):
    """The bucket still holds objects."""


def make(objects: Objects, name: str) -> None:
    """Make a bucket; one that exists stays as it is."""

    def ask(client: Any) -> None:
        try:
            client.create_bucket(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                raise

    objects.ask("create", f"s3://{name}", ask)


def remove(objects: Objects, name: str) -> None:
    """Remove an empty bucket; one that is gone does not matter.

    Raises
    ------
    NotEmptyError
        It holds objects.
    """

    def ask(client: Any) -> None:
        try:
            client.delete_bucket(Bucket=name)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "BucketNotEmpty":
                raise NotEmptyError(f"s3://{name} is not empty") from error
            if code != "NoSuchBucket":
                raise

    objects.ask("delete", f"s3://{name}", ask)
