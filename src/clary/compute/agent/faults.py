"""From what went wrong to a host's result: whose fault it was, and whether trying again may help."""

import errno
import logging
from typing import Any

from clary.compute.agent.host import Host
from clary.compute.agent.install import InstallError
from clary.compute.agent.watch import InterruptionError
from clary.compute.base import Outcome, Result
from clary.kernel.errors import CustomerError, SetupError
from clary.toolkit.object_faults import ObjectsUnavailableError

log = logging.getLogger(__name__)


def result_of(host: Host, error: Exception) -> Result:
    """Return the result of a host that `error` ended.

    Notes
    -----
    `ClientError` is the customer's, `AlgorithmError` the program's, `InternalServerError` ours. Only ours may
    be tried again, and not where this machine cannot run the job at all.
    """
    if isinstance(error, InterruptionError):
        return host.result(error.outcome)
    members: dict[str, Any] = {}
    match error:
        case InstallError():
            reason = str(error)
            members["exit_code"] = error.exit.code
        case CustomerError():
            reason = f"ClientError: {error}"
        case ObjectsUnavailableError():
            reason = f"InternalServerError: {error}"
            members["is_retryable"] = True
        case SetupError() | LookupError():
            reason = f"InternalServerError: {error}"
        case OSError() if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            reason = f"ClientError: the disk of this machine is full: {error}"
        case _:
            log.error("the agent failed", exc_info=error)
            reason = f"InternalServerError: We encountered an internal error: {type(error).__name__}: {error}"
            members["is_retryable"] = True
    return host.result(Outcome.FAILED, reason=reason, **members)
