"""What an edge counted is told; a control plane that does not take it is logged once."""

import logging
from typing import Any

import pytest

from clary.gateway.edge.stages.usage import UsageTeller
from clary.gateway.edge.tallies import Key, Tallies

KEY = Key("111122223333", "us-east-1", "e", "v")


class Answering:
    """A control plane that answers with the statuses it is given."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.told: list[bytes] = []

    async def tell(self, _path: str, body: bytes) -> int:
        self.told.append(body)
        return self.statuses.pop(0)


async def test_a_refusal_is_logged_once_until_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    tallies, control = Tallies(), Answering(404, 404, 404, 200, 404)
    teller, given = UsageTeller(control, tallies), tallies.of(KEY)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            given.n += 1
            await teller.tell()
            given = tallies.of(KEY)
    assert len(control.told) == 5
    messages: list[Any] = [each.getMessage() for each in caplog.records]
    assert messages == ["the control plane did not take counts: 404"] * 2
