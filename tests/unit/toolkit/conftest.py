"""Fixtures of the toolkit's tests."""

from collections.abc import Iterator

import pytest

from clary.testing.s3 import MemoryS3, memory_s3
from clary.toolkit.objects import Objects


@pytest.fixture
def s3() -> Iterator[MemoryS3]:
    with memory_s3("b") as server:
        yield server


@pytest.fixture
def objects(s3: MemoryS3) -> Iterator[Objects]:
    store = Objects(**s3.where, patience_s=20.0)
    yield store
    store.close()
