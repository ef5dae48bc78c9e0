"""What a program uses of its host."""

import os
import sys
import threading
from typing import cast

import pytest

from clary.compute.agent import utilisation
from clary.compute.base import Size
from clary.compute.runners.base import Running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")


class Program:
    """This process, as a program that uses 256 MiB."""

    pid = os.getpid()

    def memory_bytes(self):
        return 256 << 20


def test_processor_time_grows_with_work_and_is_unknown_of_nobody():
    before = utilisation.cpu_s(os.getpid())
    assert before is not None
    while (utilisation.cpu_s(os.getpid()) or 0.0) <= before:
        sum(range(100_000))
    assert utilisation.cpu_s(2**22 + 1) is None


def test_utilisation_is_told_while_the_body_runs(monkeypatch):
    monkeypatch.setattr(utilisation, "FIRST_S", 0.001)
    found, both = {}, threading.Event()

    def tell(name, _ms, value):
        found[name] = value
        if len(found) == 2:
            both.set()

    with utilisation.told([cast("Running", Program())], Size(cpus=1, memory_mib=1024), tell):
        assert both.wait(10)
    assert found["MemoryUtilization"] == 25.0
    assert found["CPUUtilization"] >= 0
