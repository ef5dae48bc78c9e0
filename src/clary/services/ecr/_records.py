"""Repositories, images, tags and blobs as they are stored, and errors as this service words them.

    EcrRepository  <name>             account, region
    EcrImage <repository>  <digest>   account, region    its manifest, word for word
    EcrTag <repository>    <tag>      account, region
    RegistryBlob   <digest>           account            where its bytes are, and which repositories have it
    RegistryUpload <id>               account            bytes on their way in; or on their way out

A repository's name is part of its images' noun: what is listed of one repository is a range of an index.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from clary.kernel.errors import AwsError
from clary.resource import tokens
from clary.resource.call import Call
from clary.store import listing, records
from clary.store.listing import Position, Query
from clary.store.records import Record

REPOSITORY, BLOB, UPLOAD, POLICY = "EcrRepository", "RegistryBlob", "RegistryUpload", "EcrLifecyclePolicy"
EVERYWHERE = "-"
"""Region of the blobs and uploads: an account's are one heap."""
PAGE = 100
"""Source: API reference, DescribeRepositories: "up to 100 results"."""
NAME = re.compile(
    r"(?=.{2,256}$)[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class Place:
    """One repository, whether it exists or not."""

    account: str
    region: str
    name: str

    @property
    def images(self) -> str:
        """Noun of its images."""
        return f"EcrImage {self.name}"

    @property
    def tags(self) -> str:
        """Noun of its tags."""
        return f"EcrTag {self.name}"

    @property
    def link(self) -> str:
        """What its blobs name it by."""
        return f"{self.region}/{self.name}"

    @property
    def words(self) -> str:
        """What errors call it."""
        return f"repository with name '{self.name}' in the registry with id '{self.account}'"

    @property
    def arn(self) -> str:
        """ARN of the repository."""
        return f"arn:aws:ecr:{self.region}:{self.account}:repository/{self.name}"


def invalid(member: str, reason: str) -> AwsError:
    """Return the error of a member that cannot be."""
    return AwsError(f"Invalid parameter at '{member}': {reason}", code="InvalidParameterException")


def not_served(member: str, reason: str) -> AwsError:
    """Return the error of a wish that Clary does not grant."""
    return invalid(member, f"{reason} is not served; leave it out")


def missing(place: Place) -> AwsError:
    """Return the error of a repository that does not exist."""
    return AwsError(
        f"The repository with name '{place.name}' does not exist in the registry with id '{place.account}'",
        code="RepositoryNotFoundException",
    )


def place_of(call: Call, request: Mapping[str, Any]) -> Place:
    """Return the repository that a request names: the caller's own.

    Raises
    ------
    AwsError
        `AccessDeniedException`: it names another account's registry.
    """
    name = request["repositoryName"]
    check_registry(call, request.get("registryId"), name)
    return Place(call.account, call.region, name)


def check_registry(call: Call, registry: str | None, name: str = "*") -> None:
    """Refuse the registry of another account; repository policies open nothing across accounts."""
    if registry is not None and registry != call.account:
        raise AwsError(
            f"User: {call.principal} is not authorized to perform: ecr:{call.operation} on resource: "
            f"arn:aws:ecr:{call.region}:{registry}:repository/{name} (Clary's registries are open to their "
            "own account alone)",
            code="AccessDeniedException",
        )


def repository_of(conn: Connection, place: Place) -> Record:
    """Return a repository.

    Raises
    ------
    AwsError
        `RepositoryNotFoundException`.
    """
    record = records.find(conn, place.account, place.region, REPOSITORY, place.name)
    if record is None:
        raise missing(place)
    return record


def query_of(place: Place, noun: str, **changes: Any) -> Query:
    """Return the query of what a repository has of `noun`, by key."""
    query = Query(place.account, place.region, noun, sort="key", descending=False, limit=1000)
    return replace(query, **changes)


def every(conn: Connection, query: Query) -> Iterator[Record]:
    """Yield the records of every page of a query."""
    while True:
        page = listing.page(conn, query)
        yield from page.records
        if page.next is None:
            return
        query = replace(query, after=page.next)


def paged(call: Call, query: Query, token: str | None) -> tuple[tuple[Record, ...], dict[str, str]]:
    """Return one page by key, and `nextToken` where there is another."""
    try:
        after = Position((), tokens.decode(token, str)) if token else None
    except ValueError:
        raise invalid("nextToken", "it is none that this list has given") from None
    page = call.read(listing.page, replace(query, after=after))
    return page.records, {"nextToken": tokens.encode(page.next.key)} if page.next else {}
