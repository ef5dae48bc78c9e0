"""Who is asked for, and whom the first of a line lets pass."""

from pathlib import Path
from typing import Any

import pytest

from clary.compute.base import Size
from clary.compute.cluster.remote import MIB, RemoteRun
from clary.compute.cluster.turns import GANG, PASS_S, due, fits, room_of
from clary.testing.placement_suite import spec_of

NODE = {"CPU": 4.0, "memory": 8_192.0 * MIB, "GPU": 2.0, GANG: 1.0}
NODES: list[dict[str, Any]] = [{"id": f"n{n}", "address": "", "resources": NODE} for n in (1, 2, 3)]
SMALL = Size(cpus=1, memory_mib=1_024)
WHOLE = Size(cpus=4, memory_mib=8_192)


@pytest.fixture
def run_of(tmp_path: Path) -> Any:
    """Return what makes a run; with `at` one that has its places."""

    def make(size: Size = SMALL, n: int = 1, at: tuple[str, ...] = (), **request: object) -> RemoteRun:
        hosts = tuple(f"algo-{each + 1}" for each in range(n))
        spec = spec_of("true", hosts=hosts, size=size, request=request)
        run = RemoteRun(spec, tmp_path / spec.run_id, arrived_ns=1, slot=0)
        run.write()
        if at:
            run.bundle = run.wanted(NODES)
            run.seat(dict(zip(hosts, at, strict=True)), dict.fromkeys(hosts, ""))
        return run

    return make


def test_the_first_alone_is_asked_for_where_there_is_room_for_it(run_of: Any) -> None:
    first, second = run_of(), run_of()
    assert due([first, second], NODES, room_of(NODES, []), 0.0) == [first]


def test_a_small_one_passes_a_gang_whose_nodes_are_busy_but_only_for_a_minute(run_of: Any) -> None:
    room = room_of(NODES, [run_of(WHOLE, at=("n2",))])
    gang, small = run_of(WHOLE, n=3), run_of()
    assert due([gang, small], NODES, room, 100.0) == [gang, small]
    assert due([gang, small], NODES, room, 100.0 + PASS_S - 1) == [gang, small]
    small.is_seating = True
    assert due([gang, small, run_of()], NODES, room, 100.0 + PASS_S) == [gang]


def test_one_passes_at_a_time_the_oldest_that_fits(run_of: Any) -> None:
    room = room_of(NODES, [run_of(WHOLE, at=("n2",))])
    line = [run_of(WHOLE, n=3), run_of(WHOLE, n=3), run_of(), run_of()]
    assert due(line, NODES, room, 0.0) == [line[0], line[2]]
    line[3].is_seating = True  # was asked for when the third did not fit
    assert due(line, NODES, room, 0.0) == [line[0], line[3]]


def test_who_has_become_the_first_has_a_minute_of_its_own(run_of: Any) -> None:
    room = room_of(NODES, [run_of(WHOLE, at=("n2",))])
    gang, next_gang, small = run_of(WHOLE, n=3), run_of(WHOLE, n=3), run_of()
    assert due([gang, next_gang, small], NODES, room, 0.0) == [gang, small]
    assert due([next_gang, small], NODES, room, PASS_S) == [next_gang, small]
    assert due([next_gang, small], NODES, room, 2 * PASS_S) == [next_gang]


def test_who_could_not_start_on_the_nodes_that_there_are_does_not_count_as_first(run_of: Any) -> None:
    gang, small = run_of(n=3), run_of()
    assert due([gang, small], NODES[:2], room_of(NODES[:2], []), 0.0) == [small]
    assert due([gang, small], NODES, room_of(NODES, []), PASS_S) == [gang]
    assert due([gang], [], {}, 0.0) == []


def test_a_node_that_cannot_be_begun_at_holds_up_a_gang_and_nobody_else(run_of: Any) -> None:
    gang, small = run_of(n=3), run_of()
    assert due([gang, small], NODES, room_of(NODES[:2], []), 0.0) == [gang, small]


def test_room_is_what_the_runs_there_have_left(run_of: Any) -> None:
    ended, waits = run_of(WHOLE, at=("n1",)), run_of(WHOLE)
    ended.is_ended = True
    runs = [run_of(SMALL, n=2, at=("n1", "n2")), run_of(Size(cpus=1, memory_mib=1, gpus=2), at=("n1",))]
    room = room_of(NODES[:2], [*runs, ended, waits])
    assert room["n1"] == {"CPU": 2.0, "memory": 7_167.0 * MIB, "GPU": 0.0, GANG: 0.0}
    assert room["n2"] == {"CPU": 3.0, "memory": 7_168.0 * MIB, "GPU": 2.0, GANG: 0.0}


def test_hosts_need_a_node_each_and_its_ports_or_one_node_together(run_of: Any) -> None:
    room = room_of(NODES, [run_of(SMALL, n=2, at=("n1", "n2"))])
    assert not fits(run_of(n=2), NODES, room)
    isolated = {"EnableNetworkIsolation": True}
    assert fits(run_of(n=4, **isolated), NODES, room)
    assert fits(run_of(Size(cpus=2, memory_mib=1_024), n=2, **isolated), NODES, room)
    assert not fits(run_of(Size(cpus=1, memory_mib=1, gpus=2), n=2, **isolated), NODES, room)
