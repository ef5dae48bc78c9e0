"""Who may do without TLS."""

from types import SimpleNamespace
from typing import Any

import pytest

from clary.gateway.edge.connection import Connection


@pytest.mark.parametrize(
    ("peer", "own", "is_near"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.8.9.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
        ("192.0.2.7", "192.0.2.7", True),  # itself, by its address
        ("192.0.2.8", "192.0.2.7", False),
        ("::ffff:192.0.2.8", "::ffff:192.0.2.7", False),
        ("2001:db8::2", "2001:db8::1", False),
        ("12.7.0.1", "192.0.2.7", False),
    ],
)
def test_only_this_machine_may_do_without_tls(peer: str, own: str, is_near: bool) -> None:
    edge: Any = SimpleNamespace(limits=None, clock=lambda: 0.0)
    connection, transport = Connection(edge), SimpleNamespace(get_extra_info=lambda _name: (own, 4747))
    connection.peer, connection._transport = peer, transport  # type: ignore[assignment]
    assert connection._is_near() is is_near
