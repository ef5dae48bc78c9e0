"""What an hour costs: a table by instance type, the customer's own where there is one.

The table that ships has on-demand prices of SageMaker training in us-east-1 as people remember them, for
orders of magnitude; `prices.json` in the data folder, `{"ml.m5.large": 0.02}`, says what an hour costs here,
and the page of the account what it costs the account.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

SHIPPED: Mapping[str, float] = {
    "ml.t2.medium": 0.056,
    "ml.t2.large": 0.111,
    "ml.t2.xlarge": 0.223,
    "ml.t3.medium": 0.05,
    "ml.t3.large": 0.10,
    "ml.t3.xlarge": 0.20,
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.m5.4xlarge": 0.922,
    "ml.m5.12xlarge": 2.765,
    "ml.m5.24xlarge": 5.53,
    "ml.c5.large": 0.102,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.4xlarge": 0.816,
    "ml.c5.9xlarge": 1.836,
    "ml.g4dn.xlarge": 0.736,
    "ml.g4dn.2xlarge": 0.94,
    "ml.p3.2xlarge": 3.825,
    "ml.p3.8xlarge": 14.688,
    "ml.eia1.medium": 0.182,
    "ml.eia1.large": 0.364,
    "ml.eia1.xlarge": 0.728,
    "ml.eia2.medium": 0.168,
    "ml.eia2.large": 0.336,
    "ml.eia2.xlarge": 0.476,
}


def prices(data_dir: Path) -> dict[str, float]:
    """Return dollars an hour by instance type: the operator's, and those that ship."""
    try:
        own = json.loads((data_dir / "prices.json").read_text())
    except (FileNotFoundError, ValueError):
        own = {}
    return {**SHIPPED, **own}


@dataclass(frozen=True, slots=True)
class Costs:
    """The price table of one account: what it said itself goes before the rest."""

    data_dir: Path
    own: Callable[[], Mapping[str, float]]
    keep: Callable[[str, float | None], None]
    """Keep what an hour of an instance type costs; None forgets it."""

    def prices(self) -> dict[str, float]:
        """Return dollars an hour by instance type."""
        return {**prices(self.data_dir), **self.own()}
