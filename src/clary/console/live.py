"""Live pages: server-sent events that replace what changed, for as long as the page is open.

Every `live_` block of a page's template is an element with that id. While the page is open its context is
made again every `live_s`; blocks that read otherwise than before are sent, whole. A page with `follow` also
sends lines as they come: logs.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from clary.console import render
from clary.console.visit import Missing, Visit
from clary.kernel.errors import AwsError

LINES_S = 0.15
"""Between two looks for new lines: a line is on the screen within half a second of its print."""
PING_S = 15.0
LONGEST_S = 3600.0
"""After that the browser connects again, and the session is checked again."""

View = Callable[[Visit], Any]
Follow = Callable[[Visit, str], tuple[Iterable[str], str]]
"""Position to the lines after it and the position behind them."""


async def stream(
    template: str,
    view: View,
    visit: Visit,
    frame: Mapping[str, Any],
    *,
    every_s: float,
    follow: Follow | None,
) -> AsyncIterator[bytes]:
    """Yield events: `swap` with a block's id and its HTML, `lines` with new lines.

    Ends where what is shown was deleted, or the session is over: the browser asks again, and is told.
    """
    clock = asyncio.get_running_loop().time
    begun = quiet_since = clock()
    sent: dict[str, str] = {}
    due = 0.0
    position = visit.query.get("after", "")
    yield b"retry: 1000\n\n"
    while clock() - begun < LONGEST_S:
        if clock() >= due:
            due = clock() + every_s
            try:
                blocks = await asyncio.to_thread(_blocks, template, view, visit, frame)
            except (Missing, AwsError):
                return
            for name, html in blocks.items():
                if sent.get(name) != html:
                    sent[name] = html
                    quiet_since = clock()
                    yield event("swap", {"id": name, "html": html})
        if follow is not None:
            lines, position = await asyncio.to_thread(follow, visit, position)
            if lines:
                quiet_since = clock()
                yield event("lines", {"lines": list(lines), "after": position}, position)
        if clock() - quiet_since > PING_S:
            quiet_since = clock()
            yield b": ping\n\n"
        await asyncio.sleep(LINES_S if follow is not None else every_s)


def _blocks(template: str, view: View, visit: Visit, frame: Mapping[str, Any]) -> dict[str, str]:
    return render.blocks(template, {**frame, **view(visit)})


def event(name: str, document: Mapping[str, Any], position: str = "") -> bytes:
    """Return one event; JSON has no raw line ends, so that one `data` line holds it."""
    mark = f"id: {position}\n" if position else ""
    return f"{mark}event: {name}\ndata: {json.dumps(document)}\n\n".encode()
