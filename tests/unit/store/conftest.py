"""Stores for unit tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.store.database import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clary.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{path}") as opened:
        yield opened
