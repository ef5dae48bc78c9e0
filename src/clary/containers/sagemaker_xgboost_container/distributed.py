"""Training on several hosts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sagemaker_training.entry_point import wait_hostname_resolution

from clary.algorithms.base import Training
from clary.algorithms.xgboost._hosts import Report, joined
from clary.containers import refusal
from clary.toolkit.hyperparameters import Params

__all__ = ["rabit_run", "wait_hostname_resolution"]
__getattr__ = refusal("sagemaker_xgboost_container.distributed", *__all__)

log = logging.getLogger(__name__)


def rabit_run(
    exec_fun: Callable[..., Any],
    args: dict[str, Any],
    include_in_training: bool,
    hosts: Sequence[str],
    current_host: str,
    first_port: int | None = None,
    second_port: int | None = None,
    max_connect_attempts: int | None = None,
    connect_retry_timeout: int = 3,
    update_rabit_args: bool = False,
) -> None:
    """Call `exec_fun` on every host that has data, all of them joined in XGBoost's communicator.

    Parameters
    ----------
    update_rabit_args : bool
        Whether to pass `is_master` beside `args`.
    first_port, second_port, max_connect_attempts, connect_retry_timeout
        Of the original; the hosts meet without them.
    """
    first = _training(hosts, current_host, "first")
    with joined(first, Report(current_host, n_rows=int(bool(include_in_training)))) as reports:
        chosen = sorted(report.host for report in reports if report.n_rows)
        if len(chosen) == len(hosts):
            _call(exec_fun, args, is_master=current_host == chosen[0], is_told=update_rabit_args)
            return
    if current_host not in chosen:
        log.warning("Host %s has no data and takes no part in the training.", current_host)
        return
    second = _training(chosen, current_host, "second")
    with joined(second, Report(current_host, n_rows=1)):
        _call(exec_fun, args, is_master=current_host == chosen[0], is_told=update_rabit_args)


def _call(exec_fun: Callable[..., Any], args: dict[str, Any], *, is_master: bool, is_told: bool) -> None:
    exec_fun(**({**args, "is_master": is_master} if is_told else args))


def _training(hosts: Sequence[str], host: str, meeting: str) -> Training:
    name = f"{os.environ.get('TRAINING_JOB_NAME', '')}/{meeting}"
    nowhere = Path()
    return Training(
        params=Params({}),
        sources={},
        model_dir=nowhere,
        output_data_dir=nowhere,
        hosts=tuple(hosts),
        host=host,
        name=name,
    )
