"""Signing a request of ours with SigV4: the edge re-signs S3 requests for the object store."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, unquote_to_bytes

from clary.wire import canonical
from clary.wire.signature import ALGORITHM, sign_text, signing_key


def presign(
    *,
    method: str,
    host: str,
    path: str,
    query: Mapping[str, str],
    access_key_id: str,
    secret: str,
    region: str,
    now: datetime,
    life_s: int,
    session_token: str | None = None,
) -> str:
    """Return path and query of an S3 request that anybody may send for a while, its body unsigned."""
    amz_date = canonical.to_amz_date(now.timestamp())
    scope = f"{amz_date[:8]}/{region}/s3/aws4_request"
    fields = {
        **query,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{access_key_id}/{scope}",
        "X-Amz-Date": amz_date,
        "X-Amz-Expires": str(life_s),
        "X-Amz-SignedHeaders": "host",
        **({"X-Amz-Security-Token": session_token} if session_token else {}),
    }
    encoded = canonical.query_encoded(
        "&".join(f"{quote(a, safe='')}={quote(b, safe='')}" for a, b in fields.items())
    )
    lines = (
        method,
        canonical.path_of(path, is_s3=True),
        encoded,
        f"host:{host}\n",
        "host",
        "UNSIGNED-PAYLOAD",
    )
    signature = sign_text(signing_key(secret, amz_date[:8], region, "s3"), amz_date, scope, "\n".join(lines))
    return f"{path}?{encoded}&X-Amz-Signature={signature}"


def sign(
    *,
    method: str,
    host: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    payload_hash: str,
    access_key_id: str,
    secret: str,
    region: str,
    now: datetime,
    service: str = "s3",
    session_token: str | None = None,
) -> dict[str, str]:
    """Return the headers that sign a request.

    Parameters
    ----------
    path, query : str
        Raw, as they will be on the wire.
    headers : mapping
        Further headers to be sent, names in lower case; `x-amz-…`, `content-type`, `content-md5` are signed.
    payload_hash : str
        Digest of the body, `UNSIGNED-PAYLOAD`, or one of S3's words for bodies in chunks.

    Returns
    -------
    dict
        `host`, `x-amz-date`, `x-amz-content-sha256`, `authorization` and, for temporary keys,
        `x-amz-security-token`: to be sent beside `headers`, over those of the same name.
    """
    amz_date = canonical.to_amz_date(now.timestamp())
    own = {"host": host, "x-amz-date": amz_date, "x-amz-content-sha256": payload_hash}
    if session_token:
        own["x-amz-security-token"] = session_token
    signed = {
        name: value
        for name, value in headers.items()
        if name.startswith("x-amz-") or name in {"content-type", "content-md5"}
    }
    fields = canonical.signed_fields({**signed, **own})
    names = ";".join(name for name, _ in fields)
    is_s3 = service == "s3"
    text = "\n".join(
        (
            method,
            canonical.path_of(quote(unquote_to_bytes(path), safe="/-_.~"), is_s3=is_s3),
            canonical.query_encoded(query) if query else "",
            canonical.headers(fields),
            names,
            payload_hash,
        )
    )
    scope = f"{amz_date[:8]}/{region}/{service}/aws4_request"
    signature = sign_text(signing_key(secret, amz_date[:8], region, service), amz_date, scope, text)
    credential = f"Credential={access_key_id}/{scope}"
    own["authorization"] = f"{ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
    return own
