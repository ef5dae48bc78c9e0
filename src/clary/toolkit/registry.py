"""Passwords of an account's registry of images, as `aws ecr get-login-password` prints them."""

import base64
from collections.abc import Mapping

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from clary.kernel.errors import CustomerError

USER = "AWS"


def password(where: Mapping[str, str], region: str) -> str:
    """Return the password of the user `AWS`.

    Parameters
    ----------
    where : mapping
        `endpoint`, `access_key`, `secret_key` and perhaps `session_token`.

    Raises
    ------
    CustomerError
        The registry does not give one.
    """
    session = boto3.session.Session(
        aws_access_key_id=where["access_key"],
        aws_secret_access_key=where["secret_key"],
        aws_session_token=where.get("session_token") or None,
        region_name=region,
    )
    config = Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 5})
    try:
        client = session.client("ecr", endpoint_url=where["endpoint"], config=config)
        told = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    except (BotoCoreError, ClientError) as error:
        raise CustomerError(f"The registry of images gives no password: {error}") from error
    return base64.b64decode(told).decode().partition(":")[2]
