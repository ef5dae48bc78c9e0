"""Claims: which of several control planes does what lies in the store for any of them to do, once."""

from dataclasses import replace

from clary.engine.world import World
from clary.store import records
from clary.store.base import Stale
from clary.store.records import Record

AGAIN_S = 1.0


def claim(world: World, record: Record, for_s: float) -> tuple[Record, float]:
    """Claim a record's work for so long; return the record as it is then, and 0, or when to look again.

    A claim of this node's own earlier life is its own. Where there is one control plane, nothing is written.
    """
    if not world.node:
        return record, 0.0
    now_s = world.clock().timestamp()
    by, until = record.private.get("claim", ("", 0.0))
    if by != world.node and until > now_s:
        return record, float(until)
    claimed = replace(record, private={**record.private, "claim": [world.node, now_s + for_s]})
    try:
        return world.store.write(records.update, claimed, record.version), 0.0
    except Stale:
        return record, now_s + AGAIN_S
