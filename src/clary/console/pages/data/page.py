"""Data: buckets, folders and objects; look into one, bring one, take one."""

from collections.abc import Mapping
from typing import Any

from clary.console import previews
from clary.console.visit import Answer, Context, Download, Missing, Page, Place, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/data(?:/([^/]+)(?:/(.*))?)?",
    title="Data",
    places=(Place("Data", "1 Build", "/data", 5),),
    live_s=3.0,
)
MAX_DOWNLOAD_BYTES = 512 << 20


def view(visit: Visit) -> Context:
    """Show the buckets, a folder, or an object."""
    bucket, key = visit.arguments
    if not bucket:
        return _shown(visit, buckets=visit.api.call("ListBuckets", "s3").get("Buckets", ()))
    if key and not key.endswith("/"):
        head = visit.public.head(bucket, key)
        if head.status == 200:
            return _object(visit, bucket, key, head.headers)
        key += "/"
    try:
        listed = visit.public.listed(bucket, key, visit.query.get("token", ""))
    except AwsError as error:
        raise Missing(error.message) from None
    if key and not listed.folders and not listed.objects:
        raise Missing(f"There is nothing at s3://{bucket}/{key.rstrip('/')}.")
    return _shown(visit, bucket=bucket, prefix=key, listed=listed)


def act(visit: Visit) -> Answer:
    """Hand out an object, or delete it."""
    bucket, key = visit.arguments
    if not bucket or not key:
        raise Missing("An object is named by bucket and key.")
    match visit.form.get("do"):
        case "download":
            length = int(visit.public.head(bucket, key).headers.get("content-length", "0"))
            if length > MAX_DOWNLOAD_BYTES:
                return Redirect(visit.path, f"Too large for the browser: aws s3 cp s3://{bucket}/{key} .")
            return Download(key.rpartition("/")[2], visit.public.get(bucket, key).body)
        case "delete":
            visit.public.delete(bucket, key)
            folder = key.rpartition("/")[0]
            return Redirect(f"/data/{bucket}" + (f"/{folder}/" if folder else ""), f"{key} was deleted.")
    raise Missing("There is no such action.")


def _object(visit: Visit, bucket: str, key: str, headers: Mapping[str, str]) -> Context:
    length = int(headers.get("content-length", "0"))
    needs_all = key.rpartition(".")[2].lower() in previews.WHOLE
    if needs_all and length > previews.WHOLE_BYTES:
        preview = previews.Preview(note="It is too large for a preview.")
    elif length == 0:
        preview = previews.Preview(note="It is empty.")
    else:
        limit = 0 if needs_all else previews.FIRST_BYTES
        content = visit.public.get(bucket, key, limit_bytes=limit).body
        preview = previews.of(key, content, is_whole=len(content) >= length)
    facts = {
        "size_bytes": length,
        "changed": headers.get("last-modified", ""),
        "etag": headers.get("etag", ""),
    }
    return _shown(visit, bucket=bucket, key=key, facts=facts, preview=preview)


def _shown(visit: Visit, **found: Any) -> Context:
    bucket, key = visit.arguments
    parts = [part for part in (key or "").split("/") if part]
    crumbs = [("/data", "Buckets")] + ([(f"/data/{bucket}", bucket)] if bucket else [])
    crumbs += [(f"/data/{bucket}/{'/'.join(parts[: n + 1])}/", part) for n, part in enumerate(parts[:-1])]
    return {
        "here": "/data",
        "title": parts[-1] if parts else bucket or "Data",
        "crumbs": crumbs,
        "buckets": None,
        "bucket": bucket,
        "prefix": "",
        "listed": None,
        "key": None,
        "facts": None,
        "preview": None,
        **found,
    }
