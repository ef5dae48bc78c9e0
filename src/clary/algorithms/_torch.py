"""What algorithms on torch share: device, seeds, threads, hosts, checkpoints, model files.

    fit      begin ─▶ joined: share(module) ─▶ sum_gradients ─▶ … ─▶ checkpoint ─▶ save
    predict  load ─▶ module.eval(), under torch.inference_mode()

Importing this file needs the extra `torch`; nothing that the server reads imports it.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import io
import json
import os
import socket
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _hosts, _meeting
from clary.kernel.errors import CustomerError

try:
    import torch
except ImportError as missing:
    raise CustomerError(
        f"This algorithm needs torch, which is not installed ({missing}): pip install 'clary[torch]'"
    ) from missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from clary.algorithms._hosts import Hosts
    from clary.algorithms.base import Training
    from clary.toolkit.hyperparameters import Params

CHECKPOINT = "checkpoint.pt"
"""File below `Training.checkpoint_dir`."""
MAY_DIFFER = ("epochs", "early_stopping", "max_num_", "min_num_epochs", "checkpoint_", "num_training_samples")
"""Beginnings of hyperparameters that say when training ends: those of a checkpoint may be others."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""
_KEPT_BYTES = 1 << 30
BUCKET_NUMBERS = 4 << 20
"""Numbers exchanged between hosts at once, at most, unless one tensor has more."""


def device() -> torch.device:
    """Return where to compute: the first CUDA device that this process sees, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def begin(training: Training, seed: int) -> torch.device:
    """Seed torch, hold it to the instance's processors, and return where to compute."""
    torch.manual_seed(seed)
    if training.n_threads:
        torch.set_num_threads(training.n_threads)
    torch.set_flush_denormal(True)
    _keep_freed_memory()
    return device()


def _keep_freed_memory() -> None:
    """Let malloc keep what a step frees for the next: pages that come anew cost up to half of its time."""
    with contextlib.suppress(AttributeError):  # a C library that is not glibc
        adjust = ctypes.CDLL(None).mallopt
        adjust(_MMAP_THRESHOLD, _KEPT_BYTES)
        adjust(_TRIM_THRESHOLD, _KEPT_BYTES)


class Group:
    """All hosts of a training, with tensors between them: torch.distributed's gloo, found through `_hosts`.

    Promises
    --------
    - Every host calls the same methods in the same order.
    - All hosts get the same sums.
    - A host that fails ends all, with its reason.
    """

    def __init__(self, hosts: Hosts, gloo: Any = None) -> None:
        self.hosts = hosts
        self._gloo = gloo

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of every host's tensor; all have one shape and type."""
        if self._gloo is None:
            return values
        return self._reduced(values.detach().cpu().clone()).to(values.device)

    def share(self, module: torch.nn.Module) -> None:
        """Give every host the first host's parameters and buffers."""
        if self._gloo is None:
            return
        for values in module.state_dict().values():
            mine = values.detach().cpu()
            values.copy_(self._reduced(mine.clone() if self.hosts.is_first else torch.zeros_like(mine)))

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter], scale: float = 1.0) -> None:
        """Replace gradients by their sum over hosts, times `scale`; one that a host lacks counts as zero.

        Divide the loss by a mini-batch's size over all hosts, and the sum is the gradient of one host that
        had all of it.
        """
        trained = [each for each in parameters if each.requires_grad]
        if self._gloo is not None:
            for bucket in _buckets(trained):
                flat = torch.cat([_gradient(each).reshape(-1) for each in bucket]).cpu()
                total, start = self._reduced(flat), 0
                for each in bucket:
                    each.grad = total[start : start + each.numel()].view_as(each).to(each.device)
                    start += each.numel()
        if scale != 1.0:
            for each in trained:
                if each.grad is not None:
                    each.grad.mul_(scale)

    def _reduced(self, values: torch.Tensor) -> torch.Tensor:
        try:
            self._gloo.allreduce([values]).wait()
        except RuntimeError:
            self.hosts.gather(b"")  # raises the reason of the host that failed
            raise
        return values

    def close(self) -> None:
        """Hang up: hosts that still wait learn that this one is gone."""
        self._gloo = None


@contextlib.contextmanager
def joined(training: Training) -> Iterator[Group]:
    """Meet the other hosts; what goes wrong inside ends all of them with one reason.

    Raises
    ------
    CustomerError
        The hosts did not find each other, or one of them failed.
    """
    with _hosts.joined(training) as hosts, contextlib.closing(_met(training, hosts)) as group:
        yield group


def _met(training: Training, hosts: Hosts) -> Group:
    if hosts.n_hosts == 1:
        return Group(hosts)
    from torch import distributed  # noqa: PLC0415 - of several hosts only

    address, patience = socket.gethostbyname(training.host), datetime.timedelta(seconds=_meeting.MEETING_S)
    store = None
    if hosts.is_first:
        store = distributed.TCPStore(
            address, 0, is_master=True, wait_for_workers=False, timeout=patience, use_libuv=False
        )
    place = hosts.gather(f"{address} {store.port if store else 0}".encode())[0].decode().split(" ")
    if store is None:
        store = distributed.TCPStore(
            place[0],
            int(place[1]),
            is_master=False,
            wait_for_workers=False,
            timeout=patience,
            use_libuv=False,
        )
    gloo = distributed.ProcessGroupGloo
    options = gloo._Options()
    options._devices = [gloo.create_device(hostname=address)]
    options._timeout = patience
    return Group(hosts, gloo(store, hosts.rank, hosts.n_hosts, options))


def _buckets(parameters: Iterable[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    bucket: list[torch.nn.Parameter] = []
    for each in parameters:
        if bucket and sum(one.numel() for one in bucket) + each.numel() > BUCKET_NUMBERS:
            yield bucket
            bucket = []
        bucket.append(each)
    if bucket:
        yield bucket


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def checkpoint(training: Training, state: Mapping[str, Any]) -> None:
    """Leave a state to resume from, of tensors, numbers, words and lists of them; the first host's counts."""
    if training.checkpoint_dir is None or not training.is_first:
        return
    training.checkpoint_dir.mkdir(parents=True, exist_ok=True)
    draft = training.checkpoint_dir / f".{CHECKPOINT}"
    of = {"hyperparameters": json.dumps(dict(training.params), default=str), "draws": _draws()}
    torch.save({**state, **of}, draft)
    draft.replace(training.checkpoint_dir / CHECKPOINT)  # a job that is stopped leaves a whole one


def _draws() -> dict[str, torch.Tensor]:
    """Return where torch's random numbers stand: those that leave out features go on, not begin again."""
    found = {"cpu": torch.get_rng_state()}
    return {**found, "cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else found


def resumed(training: Training, group: Group) -> dict[str, Any] | None:
    """Return the state that an earlier run left, the same on every host; None where there is none.

    Raises
    ------
    CustomerError
        The file is none of ours, or of a training with other hyperparameters; the text names one.
    """
    content = b""
    if training.checkpoint_dir is not None and group.hosts.is_first:
        path = training.checkpoint_dir / CHECKPOINT
        content = path.read_bytes() if path.is_file() else b""
    content = group.hosts.gather(content)[0]
    if not content:
        return None
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its reader meets
        raise CustomerError(
            f"Unable to resume: {CHECKPOINT} in the checkpoint folder is none ({error})"
        ) from error
    _compare(training.params, json.loads(state.get("hyperparameters", "{}")))
    for kind, draws in state.get("draws", {}).items():
        if kind == "cpu":
            torch.set_rng_state(draws)
        elif torch.cuda.is_available():
            torch.cuda.set_rng_state(draws)
    return state


def _compare(params: Params, theirs: Mapping[str, Any]) -> None:
    """Make sure that a checkpoint's hyperparameters are those of the training that finds it."""
    ours = json.loads(json.dumps(dict(params), default=str))
    for name in sorted({*ours, *theirs} if theirs else ()):
        if ours.get(name) != theirs.get(name) and not name.startswith(MAY_DIFFER):
            raise CustomerError(
                f"Unable to resume: hyperparameter {name} is {_shown(ours.get(name))}, and "
                f"{_shown(theirs.get(name))} in the training that left the checkpoint; give the same, or "
                "a CheckpointConfig with nothing in it"
            )


def _shown(value: Any) -> str:
    return "not given" if value is None else json.dumps(value)


def save(path: Path, module: torch.nn.Module, **more: Any) -> None:
    """Write a module's weights under torch's own names, and `more` arrays, as a NumPy archive.

    `module.load_state_dict({name: torch.from_numpy(archive[name]) for name in …})` opens it anywhere.
    """
    weights = {name: values.detach().cpu().numpy() for name, values in module.state_dict().items()}
    _artifact.save(path, {**weights, **{name: np.asarray(value) for name, value in more.items()}})


def restore(module: torch.nn.Module, arrays: Mapping[str, Any]) -> torch.nn.Module:
    """Put weights that `save` wrote into a module, and return it ready to answer.

    Raises
    ------
    CustomerError
        A weight is missing, or has another shape; the text names it.
    """
    wanted = module.state_dict()
    for name, values in wanted.items():
        found = arrays[name].shape if name in arrays else None
        if found != tuple(values.shape):
            raise CustomerError(f"Unable to load model: {name} has shape {found}, not {tuple(values.shape)}")
    module.load_state_dict({name: torch.from_numpy(np.array(arrays[name])) for name in wanted})
    return module.to(device()).eval()


def export_onnx(
    path: Path,
    module: torch.nn.Module,
    inputs: tuple[torch.Tensor, ...],
    names: Sequence[str],
    outputs: Sequence[str],
    lengths: Sequence[str] = (),
) -> None:
    """Write a module as ONNX; the first axis of inputs and outputs is open, of `lengths` the second alone."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter(
            "ignore"
        )  # of a tracer that its maker calls old: the other one needs onnxscript
        torch.onnx.export(
            module.cpu().eval(),
            inputs,
            os.fspath(path),
            dynamo=False,
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes={
                name: {1: f"n_{name}"} if name in lengths else {0: "n"} for name in (*names, *outputs)
            },
        )
