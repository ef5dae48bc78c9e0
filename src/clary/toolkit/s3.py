"""Clients of S3: the one file that imports boto3."""

from typing import Any

import boto3.session
import botocore.session
from botocore.config import Config

PARALLEL = 8
"""Requests in flight at once."""
_ready: list["Client"] = []
"""At most one, not aimed yet."""


def warm() -> None:
    """Build a client ahead of its use; a process forked afterwards only tells it where to go."""
    if not _ready:
        _ready.append(Client())


def client() -> "Client":
    """Return a client to aim, built ahead where `warm` was called."""
    return _ready.pop() if _ready else Client()


def hand_back(used: "Client") -> None:
    """Keep a client, to be aimed anew: to build one takes 100 ms."""
    if not _ready:
        _ready.append(used)


class Client:
    """A boto3 client whose endpoint, region and keys are set when they are known."""

    def __init__(self) -> None:
        inner = botocore.session.Session()
        inner.set_credentials("-", "-")
        credentials = inner.get_credentials()
        assert credentials is not None
        self._credentials = credentials
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=PARALLEL + 2,
            connect_timeout=5,
            read_timeout=60,
            tcp_keepalive=True,
            proxies={},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session = boto3.session.Session(botocore_session=inner, region_name="us-east-1")
        self.s3 = session.client("s3", endpoint_url="http://127.0.0.1", config=config)
        self._resolved: dict[str, str] = {}
        self.s3.meta.events.register("before-endpoint-resolution.s3", self._resolve)

    def point(self, endpoint: str, region: str, access_key: str, secret_key: str, session_token: str) -> Any:
        """Aim the client and return it."""
        self._credentials.access_key = access_key
        self._credentials.secret_key = secret_key
        self._credentials.token = session_token
        self._resolved = {"SDK::Endpoint": endpoint, "AWS::Region": region}
        return self.s3

    def _resolve(self, builtins: dict[str, Any], **_: Any) -> None:
        builtins.update(self._resolved)
