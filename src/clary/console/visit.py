"""One look at one page: who, in which account and region, asking for what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from clary.console.api import Api
from clary.console.cost import Costs
from clary.console.public import Public


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a page gets to see of a request."""

    api: Api
    arguments: tuple[str, ...]
    """What the page's path left open, decoded."""
    query: Mapping[str, str]
    form: Mapping[str, str]
    """Fields of a POST; empty otherwise."""
    now: datetime
    form_token: str
    address: str
    """Public address of this Clary, as the browser used it: `http://localhost:4747`."""
    path: str
    """Below the console's own, with a slash in front."""
    data_dir: Path
    costs: Costs
    public: Public
    """Endpoints and objects, over the public address."""
    coverage: Callable[[], Mapping[str, Mapping[str, str]]]
    """Operations of each service, with why one is refused; empty where it is served."""

    @property
    def role(self) -> str:
        """ARN of the visitor's own role; a user, who has none, gets the account's first."""
        kind, _, names = self.api.key.principal.split(":", 5)[-1].partition("/")
        if kind == "assumed-role":
            return f"arn:aws:iam::{self.api.key.account}:role/{names.partition('/')[0]}"
        roles = (self.api.seek("ListRoles", "iam", MaxItems=1) or {}).get("Roles", ())
        return str(roles[0]["Arn"]) if roles else ""


@dataclass(frozen=True)
class Download:
    """A file for the browser to keep."""

    name: str
    content: bytes
    content_type: str = "application/octet-stream"


@dataclass(frozen=True)
class Redirect:
    """Where to go next, below the console's own path; a notice is shown there once."""

    path: str
    notice: str = ""


@dataclass(frozen=True)
class Leave:
    """An address outside of the console to go to."""

    url: str


Context = Mapping[str, Any]
Answer = Context | Redirect | Download | Leave


class Missing(Exception):  # noqa: N818 - it is an answer, not a fault
    """What the path names is not there."""


@dataclass(frozen=True)
class Place:
    """A page's entry in the navigation."""

    title: str
    section: str
    path: str
    order: int = 0


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page's folder declares as `PAGE`; `view` and `act` stand beside it in `page.py`."""

    path: str
    """Regular expression of the path below the console's; its groups become `Visit.arguments`."""
    title: str
    places: Sequence[Place] = ()
    """Its entries in the navigation."""
    is_public: bool = False
    """Whether it is shown to who is not signed in."""
    scripts: Sequence[str] = field(default=())
    """Files of `static/` that it needs beside the common ones."""
    live_s: float = 1.0
    """How often its live blocks are made again while it is open."""
