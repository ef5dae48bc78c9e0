"""Fixtures of the unit tests."""

from datetime import UTC, datetime

import pytest


@pytest.fixture
def frozen_now():
    return datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
