"""What a step may reach: the store, compute, time, and the ears of the edge."""

import hashlib
import hmac
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clary.compute.base import Placement
from clary.kernel.clock import Clock
from clary.kernel.settings import Settings
from clary.store.database import Store


@dataclass(kw_only=True)
class World:
    """The engine's surroundings; one for a control plane."""

    settings: Settings
    store: Store
    clock: Clock
    secret: bytes
    """Key from which run tokens are derived, so that none is stored."""
    objects: Mapping[str, str]
    """The object store with its admin key: `endpoint`, `access_key`, `secret_key`, `region`."""
    node: str = ""
    """Id of this control plane's node, where several share a database; empty where there is but one."""
    placement: Placement = field(init=False)
    """Where runs go; it calls back into the world, and so is set after it."""
    nudge: Callable[[str], None] = lambda _arn: None
    """Look now at the machine of an ARN whose row is due already, from any thread."""
    wake: Callable[[str], None] = lambda _arn: None
    """Wake the machine of an ARN now, from any thread."""
    publish: Callable[[str, str, Mapping[str, Any] | None], None] = lambda _kind, _key, _value: None
    """Tell the edges that a cached entry changed: kind, key, new value or None."""
    held: threading.local = field(default_factory=threading.local)
    """Of a thread that runs a step: `notices`, what other nodes hear when its move is committed."""
    extras: dict[str, Any] = field(default_factory=dict)
    """Things that one service shares between its files, by name."""

    def run_token(self, run_id: str, purpose: str) -> str:
        """Return the bearer token of a run for `purpose` (`report`, `credentials`)."""
        return hmac.new(self.secret, f"{purpose}:{run_id}".encode(), hashlib.sha256).hexdigest()
