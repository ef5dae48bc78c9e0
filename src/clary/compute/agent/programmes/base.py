"""The seam of the programmes: a module with `run(host, watch, reporter) -> Result`."""

from typing import Protocol

from clary.compute.agent.host import Host
from clary.compute.agent.reports import Reporter
from clary.compute.agent.watch import Watch
from clary.compute.base import Result


class Programme(Protocol):
    """Brings one host from its staged data to its result.

    Promises
    --------
    - Every phase is told through `host.enter` before its work begins.
    - Faults of customer, platform and machine are raised; `faults.result_of` makes results of them.
    - No process of the run is left when it returns.
    """

    def run(self, host: Host, watch: Watch, reporter: Reporter) -> Result:
        """Run the host to its end."""
        ...
