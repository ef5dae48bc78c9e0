"""Nodes: the data folders that control planes run on, where several share one database.

    enter ──▶ beat, beat, beat … ──silence──▶ forget (by a peer) ──beat refused──▶ enter, as a new life

Promises
--------
- A beat only counts for the life that entered last; one that was forgotten is told so.
- `forget` takes a node away only if it has not stirred since it was looked at.
- No clock is compared: a peer is silent when its row does not change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from clary.store import dialect
from clary.store.schema import node as table
from clary.store.schema import work

OWN = "clary.node"
"""Where `Store` leaves the id of the own node in a connection's `info`; empty where there is but one."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node's row."""

    node_id: str
    life: str
    """Another one with each start of its control plane."""
    beat: int
    document: Mapping[str, Any]
    """`place`, `url`, `authority`, `memory_mib` and `n_machines`."""


def enter(conn: sa.Connection, node: Node) -> None:
    """Begin a node's life, in place of an earlier one."""
    row = {"node_id": node.node_id, "life": node.life, "beat": node.beat, "document": node.document}
    dialect.upsert(conn, table, [row], keys=["node_id"])


def beat(conn: sa.Connection, node: Node) -> bool:
    """Show that a node lives; False when a peer has forgotten it, or another life has begun."""
    held = sa.and_(table.c.node_id == node.node_id, table.c.life == node.life)
    changes = {"beat": table.c.beat + 1, "document": node.document}
    return conn.execute(sa.update(table).where(held).values(changes)).rowcount == 1


def every(conn: sa.Connection) -> list[Node]:
    """Return the nodes, by id."""
    rows = conn.execute(sa.select(table).order_by(table.c.node_id))
    return [Node(row.node_id, row.life, row.beat, row.document) for row in rows]


def find(conn: sa.Connection, node_id: str) -> Node | None:
    """Return a node, or None."""
    row = conn.execute(sa.select(table).where(table.c.node_id == node_id)).first()
    return None if row is None else Node(row.node_id, row.life, row.beat, row.document)


def forget(conn: sa.Connection, node: Node) -> bool:
    """Take a node away unless it has stirred since; False when it has, or another was faster."""
    as_seen = (table.c.node_id == node.node_id, table.c.life == node.life, table.c.beat == node.beat)
    return conn.execute(sa.delete(table).where(*as_seen)).rowcount == 1


def machines(conn: sa.Connection, kept: frozenset[str]) -> dict[str, int]:
    """Return how many machines belong to each node that has any, those of the nouns `kept` left out."""
    theirs = sa.and_(work.c.node > "", work.c.noun.not_in(kept))
    counted = sa.select(work.c.node, sa.func.count().label("n")).where(theirs).group_by(work.c.node)
    return {row.node: row.n for row in conn.execute(counted)}


def leave(conn: sa.Connection, node_id: str, arn: str) -> None:
    """Have a machine belong to `node_id`."""
    conn.execute(sa.update(work).where(work.c.arn == arn).values(node=node_id))


def give_up(conn: sa.Connection, node_id: str, now_us: int, kept: frozenset[str]) -> int:
    """Let anybody take the machines of a node, leases of it void; return how many.

    Parameters
    ----------
    kept : frozenset of str
        Nouns whose machines wait for the node: what they need lies in its folder.
    """
    free = {"lease_token": None, "lease_owner": None, "lease_until": None, "woken": None}
    mine = sa.and_(work.c.node == node_id, work.c.noun.not_in(kept))
    changes = {"node": "", "due": now_us, "ready": now_us, **free}
    return conn.execute(sa.update(work).where(mine).values(changes)).rowcount


def give_up_all(conn: sa.Connection, now_us: int) -> None:
    """Forget every node: these rows are a copy, and none of them has a folder here."""
    conn.execute(sa.delete(table))
    for node_id in conn.scalars(sa.select(work.c.node).where(work.c.node > "").distinct()).all():
        give_up(conn, node_id, now_us, frozenset())


def own(conn: sa.Connection) -> str:
    """Return the id of the own node; empty where there is but one."""
    name: str = conn.info.get(OWN, "")
    return name
