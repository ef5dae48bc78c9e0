"""Steps of networks that look at images: optimisers by name, rates by epoch, hosts, early ends."""

from __future__ import annotations

import contextlib
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch

from clary.algorithms import _torch
from clary.algorithms._log import say
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from clary.algorithms._torch import Group
    from clary.algorithms.base import Training
    from clary.toolkit.hyperparameters import Params

APART_STEPS = 8
"""Steps after which hosts of `dist_async` take the mean of their weights."""


def optimizer(network: nn.Module, params: Params, decaying: tuple[str, ...]) -> torch.optim.Optimizer:
    """Return the optimiser that hyperparameters name.

    Parameters
    ----------
    decaying : tuple of str
        Optimisers that heed `weight_decay`. Biases and the offsets of normalisations are left out of it, as
        MXNet leaves them.
    """
    name = params.text("optimizer")
    decay = params.float("weight_decay") if name in decaying else 0.0
    named = [(key, each) for key, each in network.named_parameters() if each.requires_grad]
    groups = [
        {"params": [each for key, each in named if key.endswith("weight")], "weight_decay": decay},
        {"params": [each for key, each in named if not key.endswith("weight")], "weight_decay": 0.0},
    ]
    rate = params.float("learning_rate")
    makers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "sgd": lambda: torch.optim.SGD(groups, rate, params.float("momentum")),
        "nag": lambda: torch.optim.SGD(
            groups, rate, params.float("momentum"), nesterov=params.float("momentum") > 0
        ),
        "adam": lambda: torch.optim.Adam(
            groups,
            rate,
            (params.get("beta_1", 0.9), min(params.get("beta_2", 0.999), 1 - 1e-9)),
            params.get("eps", 1e-8),
        ),
        "rmsprop": lambda: torch.optim.RMSprop(
            groups,
            rate,
            params.get("gamma1", params.get("gamma", 0.9)),
            params.get("eps", 1e-8),
            momentum=params.get("gamma2", 0.0),
        ),
        "adagrad": lambda: torch.optim.Adagrad(groups, rate, eps=1e-7),
        "adadelta": lambda: torch.optim.Adadelta(groups, 1.0, 0.9, 1e-5),
    }
    return makers[name]()


def stepped(params: Params, epoch: int) -> float:
    """Return the learning rate of an epoch, by `lr_scheduler_step` and `lr_scheduler_factor`."""
    n_steps = sum(epoch >= each for each in params.get("lr_scheduler_step") or ())
    return float(params.float("learning_rate") * params.float("lr_scheduler_factor") ** n_steps)


P = TypeVar("P")


class Lesson(NamedTuple, Generic[P]):
    """What a training learns by: its course, and the pictures of two channels."""

    course: Course
    train: P
    validation: P
    device: torch.device


@contextlib.contextmanager
def opened(
    training: Training,
    seed: int,
    begun: Callable[[Training, Path], nn.Module],
    pictures: Callable[[Training, str, Path], P],
    decaying: tuple[str, ...],
) -> Iterator[Lesson[P]]:
    """Meet the other hosts, begin the network and find the pictures; what is unpacked is gone at the end.

    Raises
    ------
    CustomerError
        A channel is empty, or a picture of it is none; or there are no weights to begin with.
    """
    device = _torch.begin(training, seed)
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder, _torch.joined(training) as group:
        spool = Path(folder)
        network = begun(training, spool).to(device)
        train, validation = (pictures(training, channel, spool) for channel in ("train", "validation"))
        course = Course(training, group, network, optimizer(network, training.params, decaying))
        yield Lesson(course, train, validation, device)


class Course:
    """One training of a network, on all its hosts."""

    def __init__(
        self, training: Training, group: Group, network: nn.Module, steps: torch.optim.Optimizer
    ) -> None:
        self.training, self.group, self.network = training, group, network
        self.first_epoch = 0
        self.best: dict[str, Tensor] = {}
        """The weights of the best epoch."""
        self.best_score, self.best_epoch, self.n_stale = -math.inf, 0, 0
        self._steps = steps
        self._n_hosts = group.hosts.n_hosts
        self._is_apart = training.params.get("kv_store") == "dist_async" and self._n_hosts > 1
        self._n_done = 0
        group.share(network)
        self._resume()

    def n_steps(self, n_images: int, size: int) -> int:
        """Return the steps of an epoch, as many on every host: those of the host with most images."""
        counts = self.group.hosts.gather(str(-(-n_images // size)).encode())
        return max(int(each) for each in counts)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate; adadelta finds its own."""
        if not isinstance(self._steps, torch.optim.Adadelta):
            for each in self._steps.param_groups:
                each["lr"] = rate

    def step(self, loss: Tensor) -> None:
        """Go one step down a loss, that of this host's mini-batch.

        Raises
        ------
        CustomerError
            It is no number.
        """
        self._steps.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        if not self._is_apart:
            self.group.sum_gradients(self.network.parameters(), 1 / self._n_hosts)
        self._steps.step()
        self._n_done += 1
        if self._is_apart and self._n_done % APART_STEPS == 0:
            self._meet(self.network.parameters())

    def end_epoch(self, loss: float) -> None:
        """Take the mean of what each host has for itself: statistics of normalisations, weights apart."""
        if not math.isfinite(loss):
            raise CustomerError(
                "Training diverged: the loss is no number with learning_rate "
                f"{self.training.params['learning_rate']}"
                "; choose a smaller one"
            )
        if self._n_hosts > 1:
            self._meet(each for each in self.network.buffers() if each.is_floating_point())
            if self._is_apart:
                self._meet(self.network.parameters())

    def judge(self, epoch: int, score: float) -> bool:
        """Remember the best epoch, leave a checkpoint, and say whether training ends early."""
        params = self.training.params
        gain = score - self.best_score
        is_better = gain > 0
        tolerance = params.get("early_stopping_tolerance", 0.0)
        is_gain = is_better and not (
            math.isfinite(self.best_score) and gain < tolerance * abs(self.best_score)
        )
        self.n_stale = 0 if is_gain else self.n_stale + 1
        if is_better:
            self.best_score, self.best_epoch = score, epoch
            self.best = {
                name: each.detach().cpu().clone() for name, each in self.network.state_dict().items()
            }
        self._leave(epoch)
        return bool(
            params.is_true("early_stopping")
            and epoch + 1 >= params.int("early_stopping_min_epochs")
            and self.n_stale >= params.int("early_stopping_patience")
        )

    def _meet(self, tensors: Any) -> None:
        with torch.no_grad():
            for each in tensors:
                each.copy_(self.group.sum(each.detach()) / self._n_hosts)

    def _leave(self, epoch: int) -> None:
        _torch.checkpoint(
            self.training,
            {
                "epoch": epoch,
                "network": self.network.state_dict(),
                "steps": self._steps.state_dict(),
                "best": self.best,
                "score": [self.best_score, self.best_epoch, self.n_stale],
            },
        )

    def _resume(self) -> None:
        state = _torch.resumed(self.training, self.group)
        if state is None:
            return
        try:
            self.network.load_state_dict(state["network"])
            self._steps.load_state_dict(state["steps"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise CustomerError(
                f"Unable to resume: the checkpoint is of another network or optimizer: {error}"
            ) from error
        self.first_epoch, self.best = int(state["epoch"]) + 1, state["best"]
        self.best_score, self.best_epoch, self.n_stale = (
            float(state["score"][0]),
            int(state["score"][1]),
            int(state["score"][2]),
        )
        say(f"Resumed after epoch {self.first_epoch}")


def half(params: Params, device: torch.device) -> Any:
    """Return the precision of products, a context."""
    is_half = params.get("precision_dtype") == "float16"
    return torch.autocast(device.type, torch.bfloat16, enabled=is_half)


def draws(seed: int, host: int, epoch: int) -> np.random.Generator:
    """Return the draws of one epoch on one host: the same after an interruption."""
    return np.random.default_rng((seed, host, epoch))
