"""How a control plane's parts come to know of each other."""

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clary.compute.base import RunPhase
from clary.gateway.control import platform
from clary.kernel.settings import Settings


def test_a_run_that_tells_before_there_is_a_placement_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    threads: list[threading.Thread] = []

    class Placed:
        def __init__(self, _settings: Settings, on_change: Any) -> None:
            threads.append(threading.Thread(target=on_change, args=("run",)))
            threads[0].start()

        def poll(self, _run_id: str) -> Any:
            return SimpleNamespace(live=False, phase=RunPhase.LOST)

    monkeypatch.setattr(platform, "member", lambda *_: SimpleNamespace(LocalPlacement=Placed))
    store = SimpleNamespace(read=lambda _find, run_id: SimpleNamespace(arn=f"arn of {run_id}"))
    platform._place(Settings(), cast("Any", SimpleNamespace(store=store, wake=woken.append)))
    threads[0].join(20.0)
    assert woken == ["arn of run"]
