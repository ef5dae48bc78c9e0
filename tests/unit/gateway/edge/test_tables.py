import asyncio
from typing import Any

import pytest

from clary.gateway.edge.relay import Away
from clary.gateway.edge.tables import Table


class Source:
    def __init__(self, **records: Any) -> None:
        self.records = records
        self.asked: list[str] = []
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, key: str) -> dict[str, Any] | None:
        self.asked.append(key)
        value = self.records.get(key)
        await self.gate.wait()
        if self.is_away:
            raise Away("away")
        return None if value is None else {"v": value}


def table(source: Source) -> Table[int]:
    return Table(source.fetch, lambda _key, document: int(document["v"]))


async def test_a_key_is_asked_for_once() -> None:
    source = Source(a=1)
    one = table(source)
    assert one.get("a") is None
    assert await asyncio.gather(*(one.find("a") for _ in range(5))) == [1] * 5
    assert await one.find("a") == one.get("a") == 1
    assert source.asked == ["a"]


async def test_what_is_unknown_is_asked_for_each_time() -> None:
    source = Source()
    one = table(source)
    assert await one.find("a") is None
    source.records["a"] = 2
    assert await one.find("a") == 2


async def test_a_push_wins_over_an_answer_under_way() -> None:
    source = Source(a=1)
    one = table(source)
    source.gate.clear()
    asking = asyncio.create_task(one.find("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    one.push("a", {"v": 2})
    source.gate.set()
    assert await asking == 2
    assert one.get("a") == 2


async def test_a_push_of_nothing_drops_the_entry_even_under_way() -> None:
    source = Source(a=1)
    one = table(source)
    source.gate.clear()
    asking = asyncio.create_task(one.find("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    one.push("a", None)
    del source.records["a"]
    source.gate.set()
    assert await asking is None
    assert one.get("a") is None


async def test_an_old_entry_serves_only_while_nobody_can_be_asked() -> None:
    source = Source(a=1)
    one = table(source)
    await one.find("a")
    one.age()
    assert one.get("a") is None
    assert one.knows("a")
    source.is_away = True
    assert await one.find("a") == 1
    with pytest.raises(Away):
        await one.find("b")
    source.is_away = False
    source.records["a"] = 3
    assert await one.find("a") == 3
    assert not one.knows("a")


async def test_an_old_entry_that_is_gone_is_gone() -> None:
    source = Source(a=1)
    one = table(source)
    await one.find("a")
    one.doubt("a")
    source.records.clear()
    assert await one.find("a") is None
    source.is_away = True
    with pytest.raises(Away):
        await one.find("a")
