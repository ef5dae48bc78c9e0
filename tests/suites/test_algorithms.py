"""The laws of algorithms over every folder, by discovery."""

import pytest

from clary.algorithms import base
from clary.algorithms.base import Algorithm
from clary.testing.algorithm_suite import AlgorithmSuite


class TestAlgorithms(AlgorithmSuite):
    @pytest.fixture(
        params=[
            pytest.param(name, marks=[pytest.mark.torch] if base.find(name).extra == "torch" else [])
            for name in base.names()
        ]
    )
    def algorithm(self, request: pytest.FixtureRequest) -> Algorithm:
        return base.find(request.param)
