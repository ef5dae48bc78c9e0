"""Streams of a page that is open: what is sent, and when they end."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from clary.console import live, render
from clary.console.visit import Missing
from clary.kernel.errors import AwsError


async def events(monkeypatch: pytest.MonkeyPatch, answers: list[Any]) -> list[str]:
    """Return what a stream sends while its page's block reads as said, until it ends."""
    left = iter(answers)

    def view(_visit: Any) -> dict[str, str]:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return {"text": answer}

    monkeypatch.setattr(render, "blocks", lambda _template, context: {"live_it": context["text"]})
    visit: Any = SimpleNamespace(query={})
    made = live.stream("any", view, visit, {}, every_s=0.0, follow=None)
    return [each.decode() async for each in made]


@pytest.mark.parametrize(
    "end", [Missing("It was deleted."), AwsError("The session is over.", code="Expired")]
)
async def test_a_stream_sends_what_changed_and_ends_with_what_it_shows(
    monkeypatch: pytest.MonkeyPatch, end: Exception
) -> None:
    first, *swaps = await events(monkeypatch, ["a", "a", "b", end])
    assert first.startswith("retry:")
    sent = [json.loads(each.partition("data: ")[2]) for each in swaps]
    assert sent == [{"id": "live_it", "html": "a"}, {"id": "live_it", "html": "b"}]
