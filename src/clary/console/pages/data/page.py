"""Data: buckets, folders and objects; look into one, bring one, take one."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from clary.console import catalog, previews
from clary.console.visit import Answer, Context, Download, Leave, Missing, Page, Place, Redirect, Visit
from clary.kernel.errors import AwsError

PAGE = Page(
    path=r"/data(?:/([^/]+)(?:/(.*))?)?",
    title="Data",
    places=(Place("Data", "1 Build", "/data", 5),),
    live_s=3.0,
    scripts=("upload.js",),
)
LARGE_BYTES = 8 << 20
"""Downloads from this size on come from the store itself."""
PART_BYTES = 16 << 20
"""Uploads from this size on go in parts, at most a thousand of them."""


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
    """Hand out an object, delete it, or let the browser bring one."""
    bucket, key = visit.arguments
    if not bucket and visit.form.get("do") == "create":
        return _made(visit, visit.form.get("name", "").strip())
    if not bucket or not key:
        raise Missing("An object is named by bucket and key.")
    match visit.form.get("do"):
        case "download" if visit.form.get("member"):
            inner = visit.form["member"]
            return Download(inner.rpartition("/")[2], _inner(visit, bucket, key, inner))
        case "download":
            length = int(visit.public.head(bucket, key).headers.get("content-length", "0"))
            name = key.rpartition("/")[2]
            if length < LARGE_BYTES:
                return Download(name, visit.public.get(bucket, key).body)
            shown = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
            where = {"response-content-disposition": shown}
            return Leave(visit.public.link("GET", bucket, key, visit.address, **where))
        case "delete":
            visit.public.delete(bucket, key)
            folder = key.rpartition("/")[0]
            return Redirect(
                f"/data/{bucket}" + (f"/{quote(folder)}/" if folder else ""), f"{key} was deleted."
            )
        case "begin" | "complete" | "abort":
            return _as_json(_brought(visit, bucket, key))
    raise Missing("There is no such action.")


def _made(visit: Visit, name: str) -> Answer:
    try:
        catalog.make_bucket(visit, name)
    except AwsError as error:
        return Redirect("/data", error.message)
    return Redirect(f"/data/{name}", "The bucket was created.")


def _brought(visit: Visit, bucket: str, key: str) -> Mapping[str, Any]:
    """Return where the browser puts an object, or put its parts together; an error is told, not shown."""
    form, upload = visit.form, visit.form.get("upload", "")
    try:
        match form["do"]:
            case "complete":
                visit.public.complete(bucket, key, upload, form.get("tags", "").split())
                return {}
            case "abort":
                visit.public.abort(bucket, key, upload)
                return {}
        size = int(form.get("size") or 0)
        if size <= PART_BYTES:
            return {"urls": [visit.public.link("PUT", bucket, key, visit.address)], "part": PART_BYTES}
        part = max(PART_BYTES, -(-size // 1000))
        upload = visit.public.begin(bucket, key, form.get("type") or "application/octet-stream")
    except AwsError as error:
        return {"error": error.message}
    numbers = range(1, -(-size // part) + 1)
    urls = [
        visit.public.link("PUT", bucket, key, visit.address, partNumber=str(n), uploadId=upload)
        for n in numbers
    ]
    return {"urls": urls, "part": part, "upload": upload}


def _as_json(answer: Mapping[str, Any]) -> Download:
    return Download("answer.json", json.dumps(answer).encode(), "application/json")


def _object(visit: Visit, bucket: str, key: str, headers: Mapping[str, str]) -> Context:
    length, inner = int(headers.get("content-length", "0")), visit.query.get("member", "")
    needs_all = key.rpartition(".")[2].lower() in previews.WHOLE
    if needs_all and length > previews.WHOLE_BYTES:
        preview = previews.Preview(note="It is too large for a preview.")
    elif length == 0:
        preview = previews.Preview(note="It is empty.")
    elif inner:
        content = _inner(visit, bucket, key, inner)
        preview = previews.of(inner, content, is_whole=True)
    else:
        limit = 0 if needs_all else previews.FIRST_BYTES
        content = visit.public.get(bucket, key, limit_bytes=limit).body
        preview = previews.of(key, content, is_whole=len(content) >= length)
    facts = {
        "size_bytes": len(content) if inner else length,
        "changed": headers.get("last-modified", ""),
        "etag": headers.get("etag", ""),
    }
    return _shown(visit, bucket=bucket, key=key, facts=facts, preview=preview, inner=inner)


def _inner(visit: Visit, bucket: str, key: str, inner: str) -> bytes:
    """Return a file of an archive."""
    length = int(visit.public.head(bucket, key).headers.get("content-length", "0"))
    is_read = previews.is_archive(key) and length <= previews.WHOLE_BYTES
    found = previews.member(visit.public.get(bucket, key).body, inner) if is_read else None
    if found is None:
        raise Missing(f"s3://{bucket}/{key} has no file {inner} that could be shown.")
    return found


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
        "inner": "",
        **found,
    }
