"""Hyperband: many short trials, few long ones. Drawn at random; `stopping.halving` ends those that lag.

Source: Li et al. (2020), "A System for Massively Parallel Hyperparameter Tuning" (ASHA), arXiv:1810.05934.
"""

from typing import ClassVar

from clary.tuning.strategies.random import Random


class Hyperband(Random):
    """Draws as random search does."""

    name: ClassVar[str] = "Hyperband"


STRATEGY = Hyperband()
