"""Signed requests to the public address: endpoints and objects, which the control plane does not carry."""

import hashlib
import http.client
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from clary.console.api import Api
from clary.kernel.clock import now
from clary.kernel.errors import AwsError
from clary.wire import signing

LONGEST_S = 65.0
"""Longer than an invocation may take (60 s)."""
LINK_S = 3600
_S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True, slots=True)
class Got:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a folder of a bucket."""

    folders: tuple[str, ...]
    """Keys' prefixes, each with a slash at its end."""
    objects: tuple["Object", ...]
    token: str
    """Where the next page begins; empty behind the last."""


@dataclass(frozen=True, slots=True)
class Object:
    """One object of a bucket."""

    key: str
    size_bytes: int
    changed: str
    """ISO 8601."""


class Public:
    """The public address, as one signed-in caller."""

    def __init__(self, url: str, api: Api) -> None:
        self._url = urlsplit(url)
        self._api = api

    def invoke(self, endpoint: str, body: bytes, *, content_type: str, accept: str) -> Got:
        """Ask an endpoint; the model's own errors come back as they are."""
        headers = {"content-type": content_type} | ({"accept": accept} if accept else {})
        return self._send(
            "POST", f"/endpoints/{quote(endpoint, safe='')}/invocations", {}, headers, body, "sagemaker"
        )

    def listed(self, bucket: str, prefix: str, token: str = "") -> Listed:
        """Return what lies directly below a prefix.

        Raises
        ------
        AwsError
            The store's own.
        """
        query = {"list-type": "2", "delimiter": "/", "prefix": prefix, "max-keys": "200"}
        root = _xml(self._s3("GET", bucket, "", query | ({"continuation-token": token} if token else {})))
        found = tuple(
            Object(
                each.findtext(f"{_S3}Key", ""),
                int(each.findtext(f"{_S3}Size", "0")),
                each.findtext(f"{_S3}LastModified", ""),
            )
            for each in root.iterfind(f"{_S3}Contents")
        )
        folders = tuple(each.findtext(f"{_S3}Prefix", "") for each in root.iterfind(f"{_S3}CommonPrefixes"))
        return Listed(folders, found, root.findtext(f"{_S3}NextContinuationToken", ""))

    def head(self, bucket: str, key: str) -> Got:
        """Return an object's headers; its status says whether it is there."""
        return self._send("HEAD", _path(bucket, key), {}, {}, b"", "s3")

    def get(self, bucket: str, key: str, *, limit_bytes: int = 0) -> Got:
        """Return an object, or its first bytes."""
        return self._s3(
            "GET", bucket, key, headers={"range": f"bytes=0-{limit_bytes - 1}"} if limit_bytes else {}
        )

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Store an object."""
        self._s3("PUT", bucket, key, body=body)

    def link(self, method: str, bucket: str, key: str, address: str, **query: str) -> str:
        """Return a URL with which the browser itself sends one request for an object, within an hour."""
        owner, host = self._api.key, urlsplit(address).netloc
        target = signing.presign(
            method=method,
            host=host,
            path=_path(bucket, key),
            query=query,
            access_key_id=owner.access_key_id,
            secret=owner.secret_access_key,
            region=self._api.region,
            now=now(),
            life_s=LINK_S,
            session_token=owner.session_token or None,
        )
        return f"{address}{target}"

    def begin(self, bucket: str, key: str, content_type: str) -> str:
        """Begin an upload in parts; return its id."""
        got = self._s3("POST", bucket, key, {"uploads": ""}, {"content-type": content_type})
        return _xml(got).findtext(f"{_S3}UploadId", "")

    def complete(self, bucket: str, key: str, upload: str, tags: Sequence[str]) -> None:
        """Put the parts of an upload together, by their entity tags."""
        parts = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
            for n, tag in enumerate(tags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        self._s3("POST", bucket, key, {"uploadId": upload}, body=body)

    def abort(self, bucket: str, key: str, upload: str) -> None:
        """Give up an upload in parts, and free what it holds."""
        self._s3("DELETE", bucket, key, {"uploadId": upload})

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object."""
        self._s3("DELETE", bucket, key)

    def _s3(
        self,
        method: str,
        bucket: str,
        key: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Got:
        got = self._send(method, _path(bucket, key), query or {}, headers or {}, body, "s3")
        if got.status >= 300:
            raise _fault(got, f"{method} s3://{bucket}/{key}")
        return got

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        service: str,
    ) -> Got:
        key, encoded = self._api.key, urlencode(query, quote_via=quote)
        signed = signing.sign(
            method=method,
            host=self._url.netloc,
            path=path,
            query=encoded,
            headers=headers,
            payload_hash=hashlib.sha256(body).hexdigest(),
            access_key_id=key.access_key_id,
            secret=key.secret_access_key,
            region=self._api.region,
            now=now(),
            service=service,
            session_token=key.session_token or None,
        )
        begun = time.monotonic()
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=LONGEST_S)
        try:
            connection.request(method, f"{path}?{encoded}" if encoded else path, body, {**headers, **signed})
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            raise AwsError(
                f"{self._url.geturl()} could not be reached: {error}", code="ServiceUnavailable"
            ) from None
        finally:
            connection.close()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Got(answer.status, fields, content, time.monotonic() - begun)


def _path(bucket: str, key: str) -> str:
    return f"/{quote(bucket, safe='')}" + (f"/{quote(key, safe='/-_.~')}" if key else "")


def _xml(got: Got) -> ElementTree.Element:
    return ElementTree.fromstring(got.body)  # noqa: S314 - the answer of our own store


def _fault(got: Got, what: str) -> AwsError:
    try:
        root = _xml(got)
    except ElementTree.ParseError:
        return AwsError(f"{what} answered {got.status}.", code="ServiceException")
    code, message = root.findtext("Code") or "ServiceException", root.findtext("Message") or ""
    return AwsError(f"{what}: {message or code}", code=code)
