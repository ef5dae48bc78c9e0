"""Instance types: which of the service's this machine, or the cluster's nodes, can stand in for."""

from clary.compute import machine
from clary.compute.cluster.names import offered_gpus
from clary.kernel.errors import ResourceLimitExceeded
from clary.kernel.settings import Settings

HERE = "notebook instance"
"""What runs on the control plane's machine, cluster or not."""


def check(instance_type: str, usage: str) -> None:
    """Refuse an instance type that is unknown, or has accelerators that are nowhere.

    Parameters
    ----------
    usage : str
        `training job` or `notebook instance`, as the service's own text has it.

    Raises
    ------
    ValidationException
        There is no such type.
    ResourceLimitExceeded
        It has more GPUs than this machine, or than any node that the cluster has had.
    """
    size, settings = machine.size_of(instance_type), Settings.load()
    is_here = usage == HERE or not settings.cluster
    where = "this machine has" if is_here else "the largest node of the cluster has"
    most = machine.gpus() if is_here else offered_gpus(settings)
    if most is not None and size.gpus > most:
        raise ResourceLimitExceeded(
            f"The account-level service limit '{instance_type} for {usage} usage' is 0 Instances: it has "
            f"{size.gpus} GPUs, and {where} {most}. Use an instance type without GPUs."
        )
