"""Which containers of a row share a process."""

from types import SimpleNamespace
from typing import Any

import pytest

from clary.compute.agent.programmes._containers import grouped
from clary.compute.containers import address_of, name_of


def container(letter: str) -> Any:
    """Return a container: b for a built-in model, s for a script, p for one with packages of its own."""
    serving = SimpleNamespace(is_script=letter != "b")
    return SimpleNamespace(name=letter, serving=serving, is_plain=letter != "p")


@pytest.mark.parametrize(
    ("row", "processes"),
    [
        ("sb", ["sb"]),
        ("bsb", ["bsb"]),
        ("ss", ["s", "s"]),
        ("sbs", ["sb", "s"]),
        ("bbb", ["bbb"]),
        ("pb", ["p", "b"]),
        ("bpb", ["b", "p", "b"]),
        ("bbsbbsb", ["bbsbb", "sb"]),
    ],
)
def test_one_script_a_process_and_built_in_models_around_it(row: str, processes: list[str]) -> None:
    groups = grouped([container(letter) for letter in row])
    assert ["".join(each.name for each in group) for group in groups] == processes


def test_containers_are_named_by_hostname_else_by_place() -> None:
    assert [name_of(each, n) for n, each in enumerate([{}, {"ContainerHostname": "mine"}])] == [
        "container-1",
        "mine",
    ]
    assert [address_of("/a/replica.sock", n) for n in (0, 1)] == ["/a/replica.sock", "/a/c2.sock"]
