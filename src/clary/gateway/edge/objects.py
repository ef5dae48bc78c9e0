"""The S3 front: callers checked, accounts walled off, everything else left to the object store."""

import contextlib
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from clary.gateway.edge import faults, forms
from clary.gateway.edge.addressing import Place, Query, climbs, copy_source, place_of, query_of
from clary.gateway.edge.awschunked import (
    SIGNED,
    SIGNED_WITH_TRAILER,
    UNSIGNED_WITH_TRAILER,
    Seed,
    SignedChunks,
)
from clary.gateway.edge.callers import UNSIGNED_PAYLOAD, Caller, Callers, access_key_id
from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.faults import Fault
from clary.gateway.edge.head import Head, Lines
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.relay import HOP_BY_HOP, Alter, Away, Refused, forward, framing
from clary.gateway.edge.storepool import StorePool
from clary.kernel import clock
from clary.kernel.errors import AwsError
from clary.wire import post_policy
from clary.wire.signature import signing_key
from clary.wire.signing import sign

PART_TYPE = "application/x-clary-part"
"""Content type of parts on their way to the store. It compresses what it takes for text, on every upload and
read: 275 MB of CSV cost it 8 s of CPU to take and 2.5 to give, and as they are 4 and 0.4 (SeaweedFS 4.48)."""
_HEX_DIGEST = re.compile(r"^[0-9a-fA-F]{64}$")
_OWN = ("x-clary-", "x-seaweedfs-", "seaweed-")
"""Beginnings of headers that are between us and the store."""
_DROPPED = frozenset(
    {
        *(name.decode() for name in HOP_BY_HOP),
        "authorization",
        "cookie",
        "date",
        "host",
        "x-amz-date",
        "x-amz-expected-bucket-owner",
        "x-amz-security-token",
        # SDK v2 asks for `aws:kms`, and names no key, when it uploads a script; the store has none.
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-source-expected-bucket-owner",
    }
)
_PATHLIKE = frozenset({"prefix", "marker", "start-after", "key-marker", "delimiter"})
_PARTS = frozenset(
    {
        "acl",
        "cors",
        "encryption",
        "lifecycle",
        "object-lock",
        "ownershipControls",
        "policy",
        "publicAccessBlock",
        "tagging",
        "versioning",
    }
)
"""Parts of a bucket that the store knows. It takes a PUT or DELETE of any other for one of the bucket itself:
`DELETE /bucket?website` would drop the bucket and all that is in it (measured on SeaweedFS 4.48)."""


class Denied(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The request ends here; carries the answer."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.status)
        self.fault = fault


class Objects:
    """Answers S3 requests."""

    def __init__(
        self, control: ControlPlane, callers: Callers, limits: Limits, loop_time: Callable[[], float]
    ) -> None:
        self._control = control
        self._callers = callers
        self._limits = limits
        self._pool = StorePool(loop_time)
        self.sweep, self.close = self._pool.sweep, self._pool.close

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        head = exchange.head
        try:
            place = _place(head)
            if exchange.signer is None and not place.key and forms.is_form(head):
                await self._upload(exchange, place)
                return
            if head.method == "OPTIONS" and "origin" in head.fields:
                caller = None  # a browser asks, unsigned, what it may send
                query = query_of(head, is_presigned=False)
            else:
                key = access_key_id(head, exchange.signer)
                query = query_of(head, is_presigned="authorization" not in head.fields)
                is_control = _is_control(head, place, query)
                if is_control and not place.is_virtual:
                    await self._control.answer(exchange)
                    return
                _check_payload(head)
                await self._callers.fetch(key)
                host_bucket = place.bucket if place.is_virtual else ""
                caller = self._callers.check(head, None, "s3", bucket=host_bucket)
                if is_control:
                    await self._control.answer(exchange, *self._path_style(head, key, caller, place, query))
                    return
            self._check_place(head, place, query)
            await self._check_wall(head, caller, place)
            await self._forward(exchange, caller, place, query)
        except AwsError as error:
            exchange.answer(*faults.unsigned(head, error, is_s3=True))
        except Denied as denied:
            exchange.answer(*denied.fault)
        except forms.GoneError:
            return
        except (Away, TimeoutError):
            self._pool.close()
            self._control.stores.doubt("")  # it may have come back elsewhere
            exchange.answer(*faults.away(head, "The object store does not answer; it may be restarting."))

    def _path_style(
        self, head: Head, key: str, caller: Caller, place: Place, query: Query
    ) -> tuple[bytes, Lines]:
        """Return target and headers of a request that named its bucket by host, signed anew for its caller.

        The control plane knows buckets by path alone.
        """
        credential = self._control.credentials.at_hand(key)
        own = sign(
            method=head.method,
            host=head.fields["host"],
            path=place.path,
            query=query.text,
            headers=(headers := _headers(head, query)),
            payload_hash=head.fields.get("x-amz-content-sha256", UNSIGNED_PAYLOAD),
            access_key_id=key,
            secret=caller.secret,
            region=caller.region or "us-east-1",
            now=clock.now(),
            session_token=credential.session_token if credential is not None else None,
        )
        target = f"{place.path}?{query.text}" if query.text else place.path
        return target.encode(), [
            (name.encode(), value.encode()) for name, value in {**headers, **own}.items()
        ]

    async def _upload(self, exchange: Exchange, place: Place) -> None:
        """Store the file of a form whose policy allows it."""
        with contextlib.closing(forms.Form(exchange)) as form:
            fields = await form.fields()
            await self._callers.fetch(post_policy.access_key_id(fields))
            account, allowed = self._callers.check_form(fields, place.bucket)
            place, query = Place(place.bucket, fields["key"], is_virtual=False), Query([], {})
            self._check_place(exchange.head, place, query)
            _require(exchange.head, await self._owner(exchange.head, place.bucket), account, None)
            await form.whole(place.bucket, place.key, allowed)
            put: Any = form  # all of an exchange that the relay asks for
            await self._forward(put, None, place, query)

    # Checks.

    def _check_place(self, head: Head, place: Place, query: Query) -> None:
        """Refuse what names no bucket, or would mean another place to the store than to us."""
        if not place.bucket:
            text = "The specified method is not allowed against this resource."
            raise Denied(faults.s3(head, "MethodNotAllowed", text, 405))
        if not place.is_legal:
            raise Denied(faults.s3(head, "InvalidBucketName", "The specified bucket is not valid.", 400))
        pathlike = [value.rpartition("/")[0] for name, value in query.kept if name in _PATHLIKE]
        if climbs(place.key) or any(map(climbs, pathlike)):
            text = "Clary's object store takes no key in which '.' or '..' stands alone between slashes."
            raise Denied(faults.s3(head, "InvalidArgument", text, 400))
        if not place.key and head.method in {"PUT", "DELETE"}:
            for name, _ in query.kept:
                if name not in _PARTS and name != "x-id":
                    text = f"A query you provided implies functionality that is not implemented: {name}."
                    raise Denied(faults.s3(head, "NotImplemented", text, 501))

    async def _check_wall(self, head: Head, caller: Caller | None, place: Place) -> None:
        """Let an account touch its own buckets only; the source of a copy included."""
        owner = await self._owner(head, place.bucket)
        if caller is None:
            return
        fields = head.fields
        _require(head, owner, caller.account, fields.get("x-amz-expected-bucket-owner"))
        source = fields.get("x-amz-copy-source")
        if source is not None:
            origin = copy_source(source)
            if not origin.is_legal or not origin.key or climbs(origin.key):
                text = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
                raise Denied(faults.s3(head, "InvalidArgument", text, 400))
            owner = await self._owner(head, origin.bucket)
            _require(head, owner, caller.account, fields.get("x-amz-source-expected-bucket-owner"))

    async def _owner(self, head: Head, bucket: str) -> str:
        """Return the account of a bucket; one that nobody owns does not exist, whatever the store holds."""
        owner = self._control.buckets.get(bucket) or await self._control.buckets.find(bucket)
        if owner is None:
            raise Denied(faults.s3(head, "NoSuchBucket", "The specified bucket does not exist", 404))
        return owner

    # The store.

    async def _forward(self, exchange: Exchange, caller: Caller | None, place: Place, query: Query) -> None:
        store = await self._control.object_store()
        head = exchange.head
        hash_header = head.fields.get("x-amz-content-sha256", query.hoisted.get("x-amz-content-sha256", ""))
        headers = _headers(head, query)
        if hash_header.startswith("STREAMING-"):
            _strip_aws_chunked(headers)
        if head.method == "PUT" and any(name == "partNumber" for name, _ in query.kept):
            headers["content-type"] = PART_TYPE  # the object's own was given when its upload began
        is_chunked, alter, frame = head.chunked, None, framing(exchange)
        if hash_header in {SIGNED, SIGNED_WITH_TRAILER} and caller is not None:
            has_trailer = hash_header == SIGNED_WITH_TRAILER
            alter = _rewriter(head, caller, has_trailer=has_trailer)
            hash_header, is_chunked, frame = _as_unsigned(head, headers, has_trailer=has_trailer)
        endpoint = urlsplit(store.endpoint)
        path = endpoint.path.rstrip("/") + place.path
        payload_hash = hash_header or UNSIGNED_PAYLOAD

        def whole() -> bytes:
            own = sign(
                method=head.method,
                host=endpoint.netloc,
                path=path,
                query=query.text,
                headers=headers,
                payload_hash=payload_hash,
                access_key_id=store.access_key,
                secret=store.secret_key,
                region=store.region,
                now=clock.now(),
            )
            signed = {**headers, **own}
            target = f"{path}?{query.text}" if query.text else path
            lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
            start = f"{head.method} {target} HTTP/1.1\r\n{lines}"
            return start.encode() + frame + b"\r\n"

        await forward(
            exchange,
            lambda: self._pool.of(store),
            whole,
            patience_s=self._limits.away_s,
            answer_s=self._limits.answer_s,
            may_repeat=True,
            is_chunked=is_chunked,
            alter=alter,
            unwell_s=self._limits.unwell_s,
        )


def _place(head: Head) -> Place:
    try:
        return place_of(head)
    except UnicodeDecodeError:
        raise Denied(faults.s3(head, "InvalidURI", "Couldn't parse the specified URI.", 400)) from None


def _is_control(head: Head, place: Place, query: Query) -> bool:
    """Tell whether the control plane answers: it owns which bucket is whose."""
    if not place.bucket:
        return head.method == "GET"
    if place.key:
        return False
    if head.method == "GET":
        return any(name == "location" for name, _ in query.kept)
    return head.method in {"PUT", "DELETE"} and not query.has_subresource


def _check_payload(head: Head) -> None:
    """Refuse a header-signed request that does not say what it signs."""
    claimed = head.fields.get("x-amz-content-sha256")
    if claimed is None:
        if not head.fields.get("authorization", "AWS ").startswith("AWS "):  # SigV2 signs no body
            text = "Your request was missing a required header: x-amz-content-sha256"
            raise Denied(faults.s3(head, "MissingSecurityHeader", text, 400))
        return
    known = {UNSIGNED_PAYLOAD, SIGNED, SIGNED_WITH_TRAILER, UNSIGNED_WITH_TRAILER}
    if claimed not in known and not _HEX_DIGEST.match(claimed):
        words = ", ".join(sorted(known))
        text = f"x-amz-content-sha256 must be {words}, or a valid sha256 value, not {claimed[:80]}."
        raise Denied(faults.s3(head, "InvalidArgument", text, 400))


def _require(head: Head, owner: str, account: str, expected: str | None) -> None:
    if owner != account or (expected is not None and expected != owner):
        raise Denied(faults.s3(head, "AccessDenied", "Access Denied", 403))


def _headers(head: Head, query: Query) -> dict[str, str]:
    """Return the headers that the store gets to see."""
    kept = {
        name: value
        for name, value in head.fields.items()
        if name not in _DROPPED and not name.startswith(_OWN)
    }
    for name, value in query.hoisted.items():
        if name not in _DROPPED:
            kept.setdefault(name, value)
    return kept


def _as_unsigned(head: Head, headers: dict[str, str], *, has_trailer: bool) -> tuple[str, bool, bytes]:
    """Change `headers` to what the decoded body needs.

    Returns
    -------
    tuple
        `x-amz-content-sha256`, whether the body goes out in HTTP chunks, the header that frames it.
    """
    if has_trailer:
        return UNSIGNED_WITH_TRAILER, True, b"transfer-encoding: chunked\r\n"
    length = headers.pop("x-amz-decoded-content-length", "")
    if not length.isascii() or not length.isdigit():
        text = "You must provide the x-amz-decoded-content-length HTTP header."
        raise Denied(faults.s3(head, "MissingContentLength", text, 411))
    return UNSIGNED_PAYLOAD, False, f"content-length: {length}\r\n".encode()


def _strip_aws_chunked(headers: dict[str, str]) -> None:
    """Take out of Content-Encoding what describes the transfer; the store would keep it with the object."""
    encodings = [each.strip() for each in headers.pop("content-encoding", "").split(",")]
    kept = ",".join(each for each in encodings if each and each != "aws-chunked")
    if kept:
        headers["content-encoding"] = kept


def _rewriter(head: Head, caller: Caller, *, has_trailer: bool) -> Callable[[], Alter]:
    """Return what makes the checker of a body signed chunk by chunk."""
    date, region, service = caller.amz_date[:8], caller.region, caller.service
    seed = Seed(
        signing_key(caller.secret, date, region, service),
        f"{date}/{region}/{service}/aws4_request",
        caller.amz_date,
        caller.signature,
    )
    mismatch = faults.s3(
        head, "SignatureDoesNotMatch", "The signature of a chunk does not match its data.", 403
    )
    malformed = faults.s3(head, "IncompleteBody", "The body is not in the form that aws-chunked has.", 400)
    return lambda: SignedChunks(
        seed, has_trailer=has_trailer, mismatch=Refused(*mismatch), malformed=Refused(*malformed)
    )
