"""Waiting for the other hosts of a job."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from clary.containers import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE_S = 600.0
_PAUSE_S = 0.2

__getattr__ = refusal("sagemaker_training.entry_point", "wait_hostname_resolution")


def wait_hostname_resolution(sm_hosts: Iterable[str]) -> None:
    """Wait until the name of every host resolves.

    Raises
    ------
    TimeoutError
        One does not within ten minutes.
    """
    deadline = time.monotonic() + PATIENCE_S
    for host in sm_hosts:
        while True:
            try:
                socket.gethostbyname(host)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"host {host} does not resolve: {error}") from error
                time.sleep(_PAUSE_S)


_wait_hostname_resolution = wait_hostname_resolution
"""Its name in published scripts."""
