"""A real botocore client whose requests never leave the process."""

import io
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from clary.wire.http import Request, Response

Answer = Callable[[Request], Response]


class _Raw(io.BytesIO):
    """A body as urllib3 hands it over."""

    def stream(self, amt: int = 1024, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the body in pieces."""
        while piece := self.read(amt):
            yield piece


@cache
def _session() -> botocore.session.Session:
    """Return the one session: reading models is the dear part of a client, and a session does it once."""
    return botocore.session.Session()


def client(
    name: str,
    answer: Answer,
    *,
    access_key_id: str = "AKIAIOSFODNN7EXAMPLE",
    secret: str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",  # noqa: S107 - AWS's own example
    session_token: str | None = None,
    endpoint_url: str = "http://127.0.0.1:4747",
    **config: Any,
) -> Any:
    """Return botocore's client of service `name`, whose requests `answer` takes instead of a server."""
    made: Any = _session().create_client(
        name,
        region_name="us-east-1",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret,
        aws_session_token=session_token,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        response = answer(as_request(request))
        return AWSResponse(
            request.url, response.status, HTTPHeaders.from_dict(response.headers), _Raw(response.body)
        )

    made.meta.events.register_first("before-send", send)
    return made


def as_request(prepared: AWSPreparedRequest) -> Request:
    """Return a prepared request as it would come from the wire."""
    parts = urlsplit(str(prepared.url))
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in cast("Mapping[str, Any]", prepared.headers).items()
    }
    headers.setdefault("host", parts.netloc)
    body: Any = prepared.body or b""
    if hasattr(body, "read"):
        body = body.read()
    return Request(
        method=str(prepared.method),
        path=parts.path or "/",
        query=parts.query,
        headers=headers,
        body=body.encode() if isinstance(body, str) else bytes(body),
    )
