"""Instance types: which of the service's this machine can stand in for."""

from clary.compute import machine
from clary.kernel.errors import ResourceLimitExceeded


def check(instance_type: str, usage: str) -> None:
    """Refuse an instance type that is unknown, or has accelerators that this machine lacks.

    Parameters
    ----------
    usage : str
        `training job` or `endpoint`, as the service's own text has it.

    Raises
    ------
    ValidationException
        There is no such type.
    ResourceLimitExceeded
        It has more GPUs than this machine.
    """
    size = machine.size_of(instance_type)
    if size.gpus > machine.gpus():
        raise ResourceLimitExceeded(
            f"The account-level service limit '{instance_type} for {usage} usage' is 0 Instances: it has "
            f"{size.gpus} GPUs, and this machine has {machine.gpus()}. Use an instance type without GPUs."
        )
