"""Captured samples: what an endpoint was asked and answered, the newest first."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from clary.console.visit import Context, Missing, Page, Visit
from clary.kernel.errors import AwsError

PAGE = Page(path=r"/endpoints/([^/]+)/captured", title="Captured samples", live_s=5.0)
SHOWN = 50
LOOKED_H = 48
"""Hours back in which samples are looked for."""
MAX_BYTES = 4 << 20


def view(visit: Visit) -> Context:
    """List the newest samples of one endpoint."""
    name = visit.arguments[0]
    try:
        endpoint = visit.api.call("DescribeEndpoint", EndpointName=name)
    except AwsError as error:
        raise Missing(f"Endpoint {name}: {error.message}") from None
    capture = endpoint.get("DataCaptureConfig", {})
    uri = capture.get("DestinationS3Uri", "")
    samples, why = [], ""
    try:
        if uri:
            variants = [each["VariantName"] for each in endpoint.get("ProductionVariants", ())]
            samples = _samples(visit, uri, name, variants)
    except AwsError as fault:
        why = fault.message
    return {
        "name": name,
        "title": f"Samples of {name}",
        "here": "/endpoints",
        "capture": capture,
        "uri": uri,
        "samples": samples,
        "error": why,
    }


def _samples(visit: Visit, uri: str, name: str, variants: list[str]) -> list[dict[str, Any]]:
    """Read files, the newest hour first, until enough is there."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    base = "/".join(filter(None, (prefix.strip("/"), name)))
    found: list[dict[str, Any]] = []
    for variant in variants:
        for key in _keys(visit, bucket, f"{base}/{variant}/")[:SHOWN]:
            content = visit.public.get(bucket, key, limit_bytes=MAX_BYTES).body
            found += [_sample(each, variant) for each in reversed(content.splitlines()) if each.strip()]
            if len(found) >= SHOWN * len(variants):
                break
    return sorted(found, key=lambda each: str(each["at"]), reverse=True)[:SHOWN]


def _keys(visit: Visit, bucket: str, prefix: str) -> list[str]:
    """Return the keys below `<variant>/yyyy/mm/dd/hh/` of the last days, the newest first."""
    days = _below(visit, bucket, prefix, 3)
    since = f"{visit.now - timedelta(hours=LOOKED_H):%Y/%m/%d}"
    keys: list[str] = []
    for day in sorted((each for each in days if each.removeprefix(prefix) >= since), reverse=True):
        for hour in sorted(visit.public.listed(bucket, day).folders, reverse=True):
            listed = visit.public.listed(bucket, hour).objects
            keys += sorted((each.key for each in listed), key=_last(listed), reverse=True)
            if len(keys) >= SHOWN:
                return keys
    return keys


def _last(listed: Any) -> Any:
    changed = {each.key: each.changed for each in listed}
    return lambda key: (changed[key], key)


def _below(visit: Visit, bucket: str, prefix: str, depth: int) -> list[str]:
    folders = visit.public.listed(bucket, prefix).folders
    if depth == 1:
        return list(folders)
    return [each for folder in folders[-2:] for each in _below(visit, bucket, folder, depth - 1)]


def _sample(line: bytes, variant: str) -> dict[str, Any]:
    """Return a line of a capture file as the table takes it; one that cannot be read as it is."""
    try:
        document: Mapping[str, Any] = json.loads(line)
        capture, event = document["captureData"], document.get("eventMetadata", {})
    except (ValueError, KeyError, TypeError):
        return {
            "at": None,
            "variant": variant,
            "asked": line.decode("utf-8", "replace"),
            "answered": "",
            "id": "",
        }
    at = event.get("inferenceTime", "")
    return {
        "at": datetime.fromisoformat(at) if at else None,
        "variant": variant,
        "id": event.get("inferenceId") or event.get("eventId", ""),
        "asked": _text(capture.get("endpointInput")),
        "answered": _text(capture.get("endpointOutput")),
    }


def _text(side: Mapping[str, Any] | None) -> str:
    if not side:
        return ""
    data = str(side.get("data", ""))
    if side.get("encoding") == "BASE64":
        try:
            data = base64.b64decode(data).decode()
        except (binascii.Error, UnicodeDecodeError):
            return f"{len(data) * 3 // 4} bytes of {side.get('observedContentType', 'binary')}"
    return data
