"""Events: who, hashed to a vector's row, and the IPv4 address, as a number."""

from __future__ import annotations

import csv
import hashlib
import socket
from typing import TYPE_CHECKING

import numpy as np

from clary.algorithms._lines import lines_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms.base import Source


class EventError(ValueError):
    """An event is not an entity and an address; the text says why."""


def row_of(entity: bytes, n_vectors: int) -> int:
    """Return the vector's row of an entity: the first eight bytes of BLAKE2b, modulo their number."""
    digest = hashlib.blake2b(entity, digest_size=8).digest()
    return int.from_bytes(digest, "little") % n_vectors


def number_of(address: bytes) -> int:
    """Return an IPv4 address in decimal-dot notation as a number.

    Raises
    ------
    EventError
        It is none.
    """
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET, address.decode()), "big")
    except (OSError, ValueError) as error:
        shown = address.decode("utf-8", "replace")
        raise EventError(f"{shown!r} is not an IPv4 address such as 192.168.1.2") from error


def fields(line: bytes) -> tuple[bytes, bytes]:
    """Return the entity and the address of a line of CSV.

    Raises
    ------
    EventError
        It has not two columns, or the first is empty.
    """
    entity, _, address = line.rpartition(b",")
    if b'"' in line:
        try:
            columns = next(csv.reader([line.decode("utf-8", "replace")], skipinitialspace=True))
        except csv.Error as error:
            raise EventError(f"is no CSV: {error}") from error
        if len(columns) != 2:
            raise EventError(f"has {len(columns)} columns, not an entity and an address")
        entity, address = (column.encode() for column in columns)
    elif b"," in entity:
        raise EventError(f"has {line.count(b',') + 1} columns, not an entity and an address")
    entity = entity.strip()
    if not entity:
        raise EventError("has no entity; write entity,address")
    return entity, address.strip()


def read(source: Source, n_vectors: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Read a channel.

    Returns
    -------
    rows : ndarray, shape (n_events,)
        Of the entities' vectors.
    addresses : ndarray, shape (n_events,)

    Raises
    ------
    CustomerError
        A line is no event; the text names it.
    """
    known: dict[bytes, int] = {}
    rows, addresses = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    for block in lines_of(source):
        found, others = [], []
        for place, line in enumerate(block.lines):
            if not line.strip():
                continue
            try:
                entity, address = fields(line)
                if entity not in known:
                    known[entity] = row_of(entity, n_vectors)
                others.append(number_of(address))
            except EventError as error:
                raise block.fault(place, str(error)) from error
            found.append(known[entity])
        rows.append(np.array(found, np.int64))
        addresses.append(np.array(others, np.uint32))
    return np.concatenate(rows), np.concatenate(addresses)
