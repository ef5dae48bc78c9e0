"""One request of the distribution protocol: what the functions that answer it need."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from clary.engine.world import World
from clary.gateway.registry.errors import OciError
from clary.services.ecr import _blobs
from clary.services.ecr._records import DIGEST, Place
from clary.wire.http import Request

T = TypeVar("T")


@dataclass(frozen=True)
class Visit:
    """Who wants what of which repository."""

    world: World
    place: Place
    request: Request

    @property
    def now(self) -> datetime:
        """The time."""
        return self.world.clock()

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the query; of repeated ones, the last."""
        return dict(parse_qsl(self.request.query, keep_blank_values=True))

    def path(self, *parts: str) -> str:
        """Return a path below the repository's."""
        return "/".join(("/v2", self.place.name, *parts))

    def read(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function of the store on the repository."""
        return self.world.store.read(function, self.place, *args)

    def write(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function of the store on the repository in one durable transaction."""
        return _blobs.write(self.world.store, function, self.place, *args)


def check_digest(digest: str) -> str:
    """Return a digest that can be one.

    Raises
    ------
    OciError
        It cannot.
    """
    if not DIGEST.fullmatch(digest):
        text = f"'{digest}' must be sha256 or sha512, a colon, and as many hexadecimal digits"
        raise OciError("DIGEST_INVALID", text, 400)
    return digest
