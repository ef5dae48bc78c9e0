"""The course of a training: epochs of windows drawn from the series, and the best of them.

each epoch: about 4 windows of every series, drawn ─▶ mini-batches ─▶ loss of all their known steps
"""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _torch
from clary.algorithms._log import Log, say
from clary.algorithms.deepar import _mixture
from clary.algorithms.deepar._network import Network, Shape
from clary.algorithms.deepar._windows import Steps, Windows
from clary.kernel.errors import CustomerError

import torch  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.algorithms._torch import Group
    from clary.algorithms.base import Training
    from clary.algorithms.deepar._mixture import Said

SEED = 17
WINDOWS_OF_SERIES = 4
"""Drawn from each series in an epoch; the service does not say how many it draws."""
MOST_HELD = 512
"""Series whose ends choose the network."""
LEAST_STEPS = 8
"""Mini-batches of an epoch, at least: of few series more windows are drawn."""
LAST_RATE = 0.05
"""Share of the learning rate that is left at the end."""
CLIP = 10.0
"""Longest gradient."""
HEADS_RATE = 10.0
"""Of the learning rate, for what is said of every step alike."""
START_STEPS, START_WINDOWS, START_EVERY, START_RATE = 30, 512, 5, 0.15
"""Of which that learns before the network does: of windows each fifth step ahead."""
CHANCES = (0.1, 0.3, 0.25, 0.2, 0.15)
"""Of the weighted mean and of the last seasons, that training is pulled to."""
PULL, MOST_PULL = 0.1, 0.3
"""How much, for each season ahead but the first, and at most: nats of a value."""


def _start(network: Network, windows: Windows, group: Group) -> None:
    """Let what is said of every step alike learn from some windows, before the network does."""
    shape = network.shape
    draw = np.random.default_rng((SEED, group.hosts.rank))
    seen = _drawn(network, windows, START_WINDOWS, draw).since(shape.context_length, START_EVERY)
    hidden = seen.lags.new_zeros((*seen.lags.shape[:2], shape.num_cells))
    steps = torch.optim.Adam(network.heads, lr=START_RATE)
    for step in range(START_STEPS):
        steps.param_groups[0]["lr"] = START_RATE * _fallen(step / START_STEPS)
        said = network.said(hidden, seen.lags, seen.is_there, seen.scale)
        _stepped(network, steps, group, seen, said, network.heads)


class Course:
    """Epochs of one training, and the best of them."""

    def __init__(self, training: Training, group: Group, network: Network, windows: Windows) -> None:
        self._training, self._group, self._network, self._windows = training, group, network, windows
        self._log = Log(training, "AWS/DeepAR")
        params, hosts = training.params, group.hosts
        self._size = -(-params.int("mini_batch_size") // hosts.n_hosts)
        n_wanted = max(WINDOWS_OF_SERIES * len(windows), LEAST_STEPS * self._size)
        self._n_steps = int(np.max(hosts.arrays(np.array([-(-n_wanted // self._size)]))))
        heads = {id(each) for each in network.heads}
        others = [each for each in network.parameters() if id(each) not in heads]
        self._steps = torch.optim.Adam([{"params": others}, {"params": network.heads}], fused=True)
        self._least, self._kept, self._n_stale, self._first = math.inf, math.nan, 0, 0
        self._best: dict[str, torch.Tensor] | None = None
        self._draw = np.random.default_rng((SEED, hosts.rank, 0))
        state = _torch.resumed(training, group)
        if state is None:
            _start(network, windows, group)
        else:
            self._resume(state)

    def run(self) -> None:
        """Learn, and leave the best epoch in the network."""
        epochs, patience = self._training.params.int("epochs"), self._patience
        self._network.train()
        loss = self._kept
        for epoch in range(self._first, epochs):
            started = time.time()
            loss = self._learn(epoch, epochs)
            held = _held_loss(self._network, self._windows, self._group)
            self._log.throughput(self._n_steps * self._size, time.time() - started)
            self._log.quality("train loss", loss, epoch=epoch)
            self._log.progress(epoch + 1, epochs)
            self._judge(loss, held)
            self._leave(epoch)
            if patience and self._n_stale >= patience:
                say(f"Early stopping: {patience} epochs without progress, after {epoch + 1}")
                break
        if self._best is not None:
            self._network.load_state_dict(self._best)
            loss = self._kept
        self._log.quality("train final_loss", loss)

    @property
    def _random(self) -> tuple[np.random.BitGenerator, ...]:
        """Where the random numbers of this host's windows, and of what is left out, come from."""
        return self._draw.bit_generator, self._network.bits

    @property
    def _patience(self) -> int | None:
        found: int | None = self._training.params.get("early_stopping_patience")
        return found

    def _learn(self, epoch: int, epochs: int) -> float:
        """Take the steps of an epoch; return their mean loss."""
        params, network, n_steps = self._training.params, self._network, self._n_steps
        total = loss = 0.0
        for step in range(n_steps):
            rate = params.float("learning_rate") * _fallen((epoch + step / n_steps) / epochs)
            for each, times in zip(self._steps.param_groups, (1.0, HEADS_RATE), strict=True):
                each["lr"] = rate * times
            batch = _drawn(network, self._windows, self._size, self._draw)
            said = network(batch.lags, batch.is_there, batch.features, batch.scale)
            loss = _stepped(network, self._steps, self._group, batch, said)
            total += loss
            if not math.isfinite(loss):
                raise CustomerError(
                    f"Training diverged: the loss is no number with learning_rate {params['learning_rate']}; "
                    "choose a smaller one"
                )
        host = self._training.host
        say(f"#quality_metric: host={host}, epoch={epoch}, batch={n_steps} train loss <loss>={loss}")
        return total / n_steps

    def _judge(self, loss: float, held: float | None) -> None:
        """Remember the network of the epoch that forecasts the held ends best."""
        judged = loss if held is None else held
        self._n_stale = 0 if judged < self._least else self._n_stale + 1
        if judged < self._least:
            self._least, self._kept = judged, loss
            if self._patience or held is not None:
                self._best = {name: each.clone() for name, each in self._network.state_dict().items()}

    def _leave(self, epoch: int) -> None:
        state = {"network": self._network.state_dict(), "optimizer": self._steps.state_dict()}
        numbers = {"least": self._least, "kept": self._kept, "n_stale": self._n_stale}
        own = json.dumps([each.state for each in self._random]).encode()
        random = [each.decode() for each in self._group.hosts.gather(own)]
        more = {"epoch": epoch + 1, "best": self._best, "random": random}
        _torch.checkpoint(self._training, {**state, **numbers, **more})

    def _resume(self, state: dict[str, Any]) -> None:
        self._network.load_state_dict(state["network"])
        self._steps.load_state_dict(state["optimizer"])
        self._first, self._least, self._n_stale = state["epoch"], state["least"], state["n_stale"]
        self._best, self._kept = state["best"], state["kept"]
        hosts, random = self._group.hosts, state.get("random", ())
        if len(random) == hosts.n_hosts:
            for each, stood in zip(self._random, json.loads(random[hosts.rank]), strict=True):
                each.state = stood
        else:  # the hosts were others: no windows of the first epochs again
            self._draw = np.random.default_rng((SEED, hosts.rank, self._first))
        say(f"Resuming after epoch {self._first}")


def _fallen(share: float) -> float:
    """Return what is left of the learning rate after a share of all steps: it falls along a cosine."""
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2


def _drawn(network: Network, windows: Windows, size: int, draw: np.random.Generator) -> Steps:
    """Draw windows: series alike, and each one's places alike."""
    shape = network.shape
    which = draw.integers(0, len(windows), size)
    last = windows.lengths[which] - shape.prediction_length * (1 + windows.held[which])
    at = draw.integers(np.minimum(shape.context_length, last), last + 1)
    steps = windows.steps(network, which, at, shape.context_length + shape.prediction_length)
    if not shape.is_whole:
        return steps
    blur = torch.from_numpy(draw.random(steps.values.shape, np.float32) - np.float32(0.5))
    return steps._replace(values=steps.values + blur.to(steps.values.device))


def _held_loss(network: Network, windows: Windows, group: Group) -> float | None:
    """Return the mean loss of the ends that training does not see; None where no series has one to spare."""
    which = windows.held.nonzero()[0]
    which = which[:: max(1, len(which) // MOST_HELD)][:MOST_HELD]
    if not group.hosts.sum(np.array([len(which)]))[0]:
        return None
    sums, n_before = np.zeros(2), network.shape.context_length
    if len(which):
        at = windows.lengths[which] - network.shape.prediction_length
        network.eval()
        with torch.no_grad():
            batch = windows.steps(network, which, at, n_before + network.shape.prediction_length)
            said = network(batch.lags, batch.is_there, batch.features, batch.scale)
            ahead = batch.since(n_before)
            losses = _mixture.loss(network.likelihood, ahead.values, batch.scale, said.since(n_before))
            sums += (float(losses[ahead.counts].sum()), float(ahead.counts.sum()))
        network.train()
    total, n_values = group.hosts.sum(sums)
    return float(total / max(n_values, 1))


def _stepped(
    network: Network,
    steps: torch.optim.Optimizer,
    group: Group,
    batch: Steps,
    said: Said,
    trained: Sequence[torch.nn.Parameter] | None = None,
) -> float:
    """Take one step; return the mean loss of known values, over all hosts."""
    losses = _mixture.loss(network.likelihood, batch.values, batch.scale, said)
    total = torch.where(batch.counts, losses, 0.0).sum()
    n_values = batch.counts.sum()
    counts = group.sum(n_values).clamp(min=1)
    pulled = _mixture.pull(said, _wanted(said)) * _pull(network.shape) * n_values
    parameters = list(network.parameters()) if trained is None else trained
    steps.zero_grad()
    ((total + pulled) / counts).backward()
    group.sum_gradients(parameters)
    torch.nn.utils.clip_grad_norm_(parameters, CLIP)
    steps.step()
    return float(group.sum(total.detach()) / counts)


def _wanted(said: Said) -> torch.Tensor:
    wanted = said.chances.new_tensor(CHANCES[: said.chances.shape[-1]])
    return wanted / wanted.sum()


def _pull(shape: Shape) -> float:
    """Return how much chances are held to those wanted: more, the more seasons ahead repeat one that is past.

    One season that was unlike the others is then wrong so many times over, which we take the likelihood of
    steps, each judged alone, not to see (ADR 37).
    """
    n_seasons = -(-shape.prediction_length // shape.clock.season)
    return min(PULL * (n_seasons - 1), MOST_PULL)
