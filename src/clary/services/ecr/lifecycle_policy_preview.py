"""Previews of lifecycle policies: what one would expire now, before it is put."""

from collections.abc import Mapping
from typing import Any

from clary.kernel.errors import AwsError
from clary.resource import tokens
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.ecr import _lifecycle
from clary.services.ecr._records import (
    PAGE,
    Place,
    every,
    invalid,
    place_of,
    query_of,
    repository_of,
)
from clary.services.ecr.lifecycle_policy import answer, found
from clary.store.records import Record


@operation("StartLifecyclePolicyPreview")
def start_lifecycle_policy_preview(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep the policy that is to be judged: the one given, else the repository's own."""
    place = place_of(call, request)
    text = request.get("lifecyclePolicyText") or found(call, place).document["text"]
    call.read(repository_of, place)
    _lifecycle.parse(text)
    call.write(_lifecycle.preview, place, text, call.now)
    return answer(place, text) | {"status": "IN_PROGRESS"}


@operation("GetLifecyclePolicyPreview")
def get_lifecycle_policy_preview(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Judge the policy by the images that there are, and return a page of those that it would expire."""
    place = place_of(call, request)
    call.read(repository_of, place)
    kept: Record | None = call.read(_lifecycle.previewed, place)
    if kept is None:
        text = f"Lifecycle policy preview does not exist for the {place.words}"
        raise AwsError(text, code="LifecyclePolicyPreviewNotFoundException")
    results = _results(call, place, kept.document["text"])
    chosen = [each for each in results if _is_asked_for(each, request)]
    page, token = _page(chosen, request)
    summary = {"expiringImageTotalCount": len(results)}
    told = {"status": "COMPLETE", "previewResults": page, "summary": summary}
    return answer(place, kept.document["text"]) | told | token


def _results(call: Call, place: Place, text: str) -> list[dict[str, Any]]:
    images: list[Record] = call.read(lambda conn: list(every(conn, query_of(place, place.images))))
    rules = _lifecycle.expired(_lifecycle.parse(text), images, call.now)
    return [
        {
            "imageDigest": each.key,
            "imageTags": each.document["imageTags"],
            "imagePushedAt": each.created,
            "action": {"type": "EXPIRE"},
            "appliedRulePriority": rules[each.key],
        }
        for each in images
        if each.key in rules
    ]


def _is_asked_for(result: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    named, status = request.get("imageIds"), request.get("filter", {}).get("tagStatus", "ANY")
    if named and not any(
        each.get("imageDigest", result["imageDigest"]) == result["imageDigest"]
        and ("imageTag" not in each or each["imageTag"] in result["imageTags"])
        for each in named
    ):
        return False
    return bool(status == "ANY" or (status == "TAGGED") == bool(result["imageTags"]))


def _page(
    results: list[dict[str, Any]], request: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return one page by digest, which is their order, and `nextToken` where there is another."""
    token, limit = request.get("nextToken"), request.get("maxResults", PAGE)
    try:
        after = tokens.decode(token, str) if token else ""
    except ValueError:
        raise invalid("nextToken", "it is none that this list has given") from None
    left = [each for each in results if each["imageDigest"] > after]
    more = {"nextToken": tokens.encode(left[limit - 1]["imageDigest"])} if len(left) > limit else {}
    return left[:limit], more
