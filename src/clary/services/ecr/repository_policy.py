"""Repository policies: kept word for word, within the wall between accounts.

The caller's own account may do everything in its registry. A policy that would let another account in is
refused, rather than kept and not followed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from clary.kernel.errors import AwsError
from clary.resource.call import Call
from clary.resource.operation import operation
from clary.services.ecr._records import Place, invalid, place_of, repository_of
from clary.store.records import Record

_ACCOUNT = re.compile(r"(?:arn:aws[\w-]*:(?:iam|sts)::)?(\d{12})(?::.*)?")


def _principals(statement: Mapping[str, Any]) -> Iterator[str]:
    principal = statement.get("Principal")
    if isinstance(principal, str):
        yield principal
    elif isinstance(principal, Mapping):
        named = principal.get("AWS", [])
        yield from [named] if isinstance(named, str) else named
    else:
        raise invalid("PolicyText", "Invalid repository policy provided: a statement has no Principal")


def _check(place: Place, text: str) -> None:
    """Refuse what is no policy, and one that lets others in."""
    try:
        statements = json.loads(text)["Statement"]
        statements = [statements] if isinstance(statements, Mapping) else list(statements)
    except (ValueError, KeyError, TypeError):
        raise invalid("PolicyText", "Invalid repository policy provided: not JSON with a Statement") from None
    for statement in statements:
        if not isinstance(statement, Mapping) or statement.get("Effect") not in {"Allow", "Deny"}:
            raise invalid("PolicyText", "Invalid repository policy provided: Effect is Allow or Deny")
        if statement["Effect"] == "Deny":
            raise invalid("PolicyText", "a Deny is not enforced by Clary, and so is refused")
        for principal in _principals(statement):
            match = _ACCOUNT.fullmatch(principal)
            if match is None or match[1] != place.account:
                raise invalid(
                    "PolicyText",
                    f"it lets {principal} in; Clary's registries are open to their own account alone: "
                    "copy the image to a repository of that account instead",
                )


def _answer(place: Place, text: str) -> dict[str, Any]:
    return {"registryId": place.account, "repositoryName": place.name, "policyText": text}


def _found(call: Call, place: Place) -> Record:
    record: Record = call.read(repository_of, place)
    if "policy" not in record.private:
        text = f"Repository policy does not exist for the {place.words}"
        raise AwsError(text, code="RepositoryPolicyNotFoundException")
    return record


def _set(call: Call, record: Record, text: str | None) -> None:
    kept = {name: value for name, value in record.private.items() if name != "policy"}
    private = kept | ({} if text is None else {"policy": text})
    call.amend(record, lambda one: replace(one, private=private, modified=call.now))


@operation("SetRepositoryPolicy")
def set_repository_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a repository a policy."""
    place = place_of(call, request)
    record = call.read(repository_of, place)
    _check(place, request["policyText"])
    _set(call, record, request["policyText"])
    return _answer(place, request["policyText"])


@operation("GetRepositoryPolicy")
def get_repository_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a repository's policy."""
    place = place_of(call, request)
    return _answer(place, _found(call, place).private["policy"])


@operation("DeleteRepositoryPolicy")
def delete_repository_policy(call: Call, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take a repository's policy away."""
    place = place_of(call, request)
    record = _found(call, place)
    _set(call, record, None)
    return _answer(place, record.private["policy"])
