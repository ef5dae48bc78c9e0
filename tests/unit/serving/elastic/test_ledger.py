"""Admission: what fits is lent, what does not is told who has it."""

import os
from pathlib import Path
from typing import Any

import pytest

from clary.compute import linux
from clary.compute.accelerator import Slice
from clary.kernel.errors import CustomerError, ValidationException
from clary.serving.elastic.ledger import Ledger

ME = linux.stamp(os.getpid())
GONE = "1 1"


def asked(endpoint: str, kind: str = "ml.eia2.medium", account: str = "111122223333") -> dict[str, Any]:
    return {
        "run_id": endpoint,
        "type": kind,
        "account": account,
        "endpoint": endpoint,
        "variant": "AllTraffic",
        "limit_s": 60.0,
    }


def test_four_mediums_fill_an_accelerator_and_a_fifth_is_told_by_whom(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 1, Slice(4, 8192))
    for n in range(3):
        ledger.admit(asked(f"mine-{n}"), ME)
    ledger.admit(asked("secret", account="444455556666"), ME)
    with pytest.raises(CustomerError) as refused:
        ledger.admit(asked("fifth"), ME)
    text = str(refused.value)
    assert "InsufficientAcceleratorCapacity" in text
    assert "ml.eia2.medium takes 25 % and 2048 MiB" in text
    assert "accelerator 0 has 0 % and 0 MiB left" in text
    assert "mine-1/AllTraffic 25 % and 2048 MiB (ml.eia2.medium)" in text
    assert "other accounts 25 % and 2048 MiB" in text
    assert "secret" not in text


def test_memory_is_a_limit_of_its_own(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 1, Slice(8, 4096))
    ledger.admit(asked("first", "ml.eia1.large"), ME)
    ledger.admit(asked("second", "ml.eia1.medium"), ME)
    with pytest.raises(CustomerError, match="has 62 % and 1024 MiB left"):
        ledger.admit(asked("third", "ml.eia2.medium"), ME)


def test_the_fullest_accelerator_with_room_is_filled_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 2, Slice(4, 8192))
    devices = [
        ledger.admit(asked(name, kind), ME).device
        for name, kind in (("a", "ml.eia2.large"), ("b", "ml.eia2.xlarge"), ("c", "ml.eia2.large"))
    ]
    assert devices[0] == devices[2] != devices[1]


def test_a_run_that_asks_again_keeps_what_it_has(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 1, Slice(4, 8192))
    lease = ledger.admit(asked("one", "ml.eia2.xlarge"), ME)
    assert ledger.admit(asked("one", "ml.eia2.xlarge"), ME).token == lease.token


def test_leases_outlive_the_daemon_and_end_with_their_agents(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 1, Slice(4, 8192))
    kept = ledger.admit(asked("kept"), ME)
    ledger.admit(asked("lost", "ml.eia2.large"), GONE)
    again = Ledger(tmp_path, 1, Slice(4, 8192))
    assert set(again.leases) == {kept.token}
    assert (tmp_path / "leases.json").stat().st_mode & 0o077 == 0, "tokens are secret"


def test_room_of_an_agent_that_is_gone_is_free_at_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, 1, Slice(4, 8192))
    ledger.admit(asked("lost", "ml.eia2.xlarge"), GONE)
    assert ledger.admit(asked("next", "ml.eia2.xlarge"), ME).device == 0


def test_an_unknown_type_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValidationException, match=r"ml.eia9.huge.*ml.eia2.medium"):
        Ledger(tmp_path, 1, Slice(4, 8192)).admit(asked("one", "ml.eia9.huge"), ME)
