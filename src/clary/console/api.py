"""The public API, called in this process on behalf of who is signed in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clary.kernel.errors import AwsError


@dataclass(frozen=True, slots=True)
class Key:
    """The access key that a session signs with; the server's own store knows it."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    account: str
    principal: str
    """ARN of who is signed in."""


Transport = Callable[[Key, str, str, str, Mapping[str, Any]], Mapping[str, Any]]
"""Key, region, service, operation, input to output: parsed and checked as if it came over the wire."""


class Api:
    """Calls operations as one signed-in caller, in one region."""

    def __init__(self, transport: Transport, key: Key, region: str) -> None:
        self._transport = transport
        self.key = key
        self.region = region

    def call(self, operation: str, /, service: str = "sagemaker", **members: Any) -> Mapping[str, Any]:
        """Call an operation; members that are None or empty texts are left out.

        Raises
        ------
        AwsError
            As a client would get it.
        """
        given = {name: value for name, value in members.items() if value not in (None, "")}
        return self._transport(self.key, self.region, service, operation, given)

    def seek(self, operation: str, /, service: str = "sagemaker", **members: Any) -> Mapping[str, Any] | None:
        """Call an operation; None where the service refuses it (nothing there, or not served)."""
        try:
            return self.call(operation, service, **members)
        except AwsError:
            return None

    def pages(
        self, operation: str, items: str, /, service: str = "sagemaker", limit: int = 1000, **members: Any
    ) -> Iterator[Mapping[str, Any]]:
        """Yield at most `limit` items of a paged list."""
        token, left = None, limit
        while left > 0:
            answer = self.call(operation, service, **members, NextToken=token)
            for item in answer.get(items, ())[:left]:
                left -= 1
                yield item
            token = answer.get("NextToken")
            if not token:
                return
