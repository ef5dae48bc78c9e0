"""Copies on instances: bounds are kept, copies stay, packing is dense or spread."""

from hypothesis import given
from hypothesis import strategies as st

from clary.compute.base import Size
from clary.services.sagemaker._packing import Need, pack

LARGE = Size(cpus=2, memory_mib=8192)
needs = st.builds(
    Need,
    memory_mib=st.integers(128, 9000),
    cpus=st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]),
    gpus=st.sampled_from([0.0, 1.0]),
)


@given(
    size=st.builds(Size, cpus=st.integers(1, 8), memory_mib=st.integers(512, 32_768), gpus=st.integers(0, 2)),
    n=st.integers(0, 4),
    taken=st.lists(st.tuples(st.integers(0, 3), needs), max_size=4),
    need=needs,
    copies=st.integers(0, 6),
    spreads=st.booleans(),
)
def test_what_is_placed_never_exceeds_an_instance_that_others_left_room_on(
    size, n, taken, need, copies, spreads
):
    placed = pack(size, n, taken, need, copies, spreads=spreads)
    assert len(placed) <= copies
    for place in set(placed):
        others = [each for where, each in taken if where == place]
        mine = [need] * placed.count(place)
        assert sum(each.memory_mib for each in (*others, *mine)) <= size.memory_mib
        assert sum(each.cpus for each in (*others, *mine)) <= size.cpus
        assert sum(each.gpus for each in (*others, *mine)) <= size.gpus


@given(need=needs, copies=st.integers(0, 6), further=st.integers(0, 3))
def test_copies_stay_where_they_are_when_more_come(need, copies, further):
    first = pack(LARGE, 3, [], need, copies)
    assert pack(LARGE, 3, [], need, copies + further, first)[: len(first)] == first


def test_packing_fills_an_instance_before_it_opens_the_next():
    assert pack(LARGE, 3, [], Need(4096), 4) == [0, 0, 1, 1]


def test_spreading_takes_the_emptiest_instance():
    assert pack(LARGE, 3, [(0, Need(1000))], Need(1000), 3, spreads=True) == [1, 2, 0]


def test_instances_that_are_not_there_yet_come_last():
    assert pack(LARGE, 3, [], Need(4096), 3, n_open=1, spreads=True) == [0, 0, 1]
