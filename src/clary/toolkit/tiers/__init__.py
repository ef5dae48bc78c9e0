"""Tiered models: one decision opens the next, each with its own label, model and costs; served as one.

    row ──▶ fraud? ──no──▶ "0"
              └─yes─▶ which? ──▶ "1/card", "1/account", …

A tier is declared, in Python or as JSON. All are fitted, decided by what their errors cost, judged end to end
and kept in one model folder.
"""

from clary.toolkit.tiers._model import PATH, Tiers
from clary.toolkit.tiers._tier import Tier

__all__ = ["PATH", "Tier", "Tiers"]
