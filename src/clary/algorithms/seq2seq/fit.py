"""Training: pairs in, encoder and decoder out.

    batches of like lengths ─▶ step … ─▶ every checkpoint_frequency_num_batches: perplexity, accuracy, BLEU of
    the validation channel ─▶ the best is kept, the rate falls, or training ends

Source: developer guide, "How Sequence-to-Sequence Works" and its hyperparameters.
"""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _onnx, _torch
from clary.algorithms._log import Log, say
from clary.algorithms.seq2seq import _graph, _pairs
from clary.algorithms.seq2seq._beam import translate
from clary.algorithms.seq2seq._bleu import bleu
from clary.algorithms.seq2seq._network import Dropouts, Network, Shape
from clary.algorithms.seq2seq._pairs import BEGIN, END, PAD, Pair, batches, padded
from clary.kernel.errors import CustomerError

import torch  # isort: skip
from torch.nn import functional  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.algorithms.base import Training
    from clary.toolkit.hyperparameters import Params

SEED = 17


def fit(training: Training) -> None:
    """Learn from the train channel, and leave the best network in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed, or there are several hosts.
    """
    if len(training.hosts) > 1:
        raise CustomerError("Seq2Seq trains on one instance: InstanceCount must be 1")
    device = _torch.begin(training, SEED)
    params = training.params
    words = _pairs.vocabularies(training.source("vocab"))
    sizes = len(words[0]), len(words[1])
    shape = Shape.of(params, *sizes)
    longest = shape.max_seq_len_source, shape.max_seq_len_target
    train, validation = (
        _pairs.read(training.source(name), sizes, longest) for name in ("train", "validation")
    )
    network = Network(
        shape,
        Dropouts(
            params.float("embed_dropout_source"),
            params.float("embed_dropout_target"),
            params.float("rnn_decoder_hidden_dropout"),
            params.float("cnn_hidden_dropout"),
        ),
    )
    begin(network, params)
    Course(training, network.to(device), train, validation).run()
    _torch.save(
        training.model_dir / _artifact.MODEL_FILE,
        network,
        shape=str(shape),
        source_words=np.array(words[0]),
        target_words=np.array(words[1]),
    )
    _graph.write(training.model_dir / _onnx.FILE, network)


def begin(network: Network, params: Params) -> None:
    """Draw the first weights."""
    scale, kind = params.float("weight_init_scale"), params.text("xavier_factor_type")
    with torch.no_grad():
        for name, each in network.named_parameters():
            if each.dim() < 2:
                each.zero_()
                continue
            bound = abs(scale)
            if params["weight_init_type"] == "xavier":
                n_in, n_out = math.prod(each.shape[1:]), each.shape[0] * math.prod(each.shape[2:])
                if "_vectors" in name or "_places" in name:
                    n_in = each.shape[1]
                bound = math.sqrt(scale / {"in": n_in, "out": n_out, "avg": (n_in + n_out) / 2}[kind])
            each.uniform_(-bound, bound)
        for table in (network.source_vectors, network.target_vectors):
            table.weight[PAD] = 0


class Course:
    """One training: steps, measurements, and what follows from them."""

    def __init__(
        self, training: Training, network: Network, train: list[Pair], validation: list[Pair]
    ) -> None:
        self._training, self._params, self._network = training, training.params, network
        self._train, self._validation = train, validation
        self._log = Log(training, "AWS/Seq2Seq")
        self._steps = _optimizer(network, self._params)
        self._n_steps, self._n_stale, self._n_flat = 0, 0, 0
        self._best: dict[str, torch.Tensor] | None = None
        self._best_value = math.inf
        self._factor = 1.0

    def run(self) -> None:
        """Train until the hyperparameters say enough, and leave the best weights in the network."""
        params = self._params
        epochs, most = params.get("max_num_epochs"), params.int("max_num_batches")
        frequency = params.int("checkpoint_frequency_num_batches")
        width = params.int("bucket_width") if params.is_true("bucketing_enabled") else None
        draw = np.random.default_rng(SEED)
        start = self._resumed()
        is_over = False
        for epoch in itertools.count(start):
            if is_over or (epochs is not None and epoch >= epochs):
                break
            started, sums = time.time(), np.zeros(4)
            for batch in batches(self._train, params.int("batch_size"), width, draw):
                if 0 <= most <= self._n_steps:
                    is_over = True
                    break
                sums += self._step(batch)
                self._n_steps += 1
                if self._n_steps % frequency == 0 and self._measure() and epochs is None:
                    is_over = epoch >= params.int("min_num_epochs")
                    if is_over:
                        break
            self._log.throughput(int(sums[3]), time.time() - started)
            if sums[2]:
                say(f"Epoch[{epoch}] {self._shown(sums)}")
            self._log.progress(*self._progress(epoch + 1, epochs, most))
            self._save(epoch + 1)
        if self._n_steps % frequency or self._best is None:
            self._measure()
        if self._best is not None:
            self._network.load_state_dict(self._best)

    def _progress(self, epoch: int, epochs: int | None, most: int) -> tuple[int, int]:
        return (
            (epoch, epochs)
            if epochs
            else (min(self._n_steps, most), most)
            if most > 0
            else (epoch, epoch + 1)
        )

    def _shown(self, sums: Any) -> str:
        if self._params["training_metric"] == "accuracy":
            return f"Train-accuracy={sums[1] / sums[2]}"
        return f"Train-perplexity={math.exp(min(50.0, sums[0] / sums[2]))}"

    def _step(self, batch: Sequence[Pair]) -> Any:
        """Take one step; return the summed loss, words that were guessed, words, and pairs."""
        self._network.train()
        for group in self._steps.param_groups:
            group["lr"] = self._rate()
        loss, right, n_words = judged(self._network, batch)
        self._steps.zero_grad()
        (loss / n_words).backward()
        clip = self._params.float("clip_gradient")
        if clip >= 0:
            torch.nn.utils.clip_grad_value_(self._network.parameters(), clip)
        self._steps.step()
        total = float(loss.detach())
        if not math.isfinite(total):
            raise CustomerError(
                f"Training diverged: the loss is no number with learning_rate "
                f"{self._params['learning_rate']}; choose a smaller one"
            )
        return np.array([total, right, n_words, len(batch)], np.float64)

    def _rate(self) -> float:
        params = self._params
        rate, kind = params.float("learning_rate"), params.text("lr_scheduler_type")
        if kind == "plateau_reduce":
            return rate * self._factor
        half = params.int("fixed_rate_lr_half_life") * params.int("checkpoint_frequency_num_batches")
        lives = self._n_steps / half
        return rate / (1 + lives) if kind == "fixed_rate_inv_t" else rate / math.sqrt(1 + 3 * lives)

    def _measure(self) -> bool:
        """Measure the validation channel; return whether progress has ended."""
        params, network = self._params, self._network
        network.eval()
        sums = np.zeros(3)
        with torch.inference_mode():
            for batch in batches(self._validation, params.int("batch_size"), 5, None):
                loss, right, n_words = judged(network, batch)
                sums += (float(loss), right, n_words)
        values = {"perplexity": math.exp(min(50.0, sums[0] / sums[2])), "accuracy": sums[1] / sums[2]}
        n_sample = params.int("bleu_sample_size")
        if n_sample:
            sample = self._validation if n_sample < 0 else self._validation[:n_sample]
            found = translate(network, [pair.source for pair in sample], beam_size=params.int("beam_size"))
            values["bleu"] = bleu([each.tokens for each in found], [pair.target for pair in sample])
        for name, value in values.items():
            self._log.quality(f"validation {name}", value, kind="loss" if name == "perplexity" else "score")
        wanted = params.text("optimized_metric")
        value = values[wanted] if wanted == "perplexity" else -values[wanted]
        if value < self._best_value or self._best is None:
            self._best_value, self._n_stale, self._n_flat = value, 0, 0
            self._best = {name: each.detach().clone() for name, each in network.state_dict().items()}
            return False
        self._n_stale, self._n_flat = self._n_stale + 1, self._n_flat + 1
        if self._n_flat >= params.int("plateau_reduce_lr_threshold"):
            self._factor, self._n_flat = self._factor * params.float("plateau_reduce_lr_factor"), 0
        is_over = self._n_stale >= params.int("checkpoint_threshold")
        if is_over:
            say(f"{wanted} of validation did not improve at {self._n_stale} checkpoints")
        return is_over

    def _save(self, epoch: int) -> None:
        _torch.checkpoint(
            self._training,
            {
                "network": self._network.state_dict(),
                "optimizer": self._steps.state_dict(),
                "best": self._best,
                "epoch": epoch,
                "counts": [self._n_steps, self._n_stale, self._n_flat],
                "numbers": [self._best_value, self._factor],
            },
        )

    def _resumed(self) -> int:
        """Take up the state that an earlier run left; return how many epochs it had done."""
        with _torch.joined(self._training) as group:
            state = _torch.resumed(self._training, group)
        if state is None:
            return 0
        self._network.load_state_dict(state["network"])
        self._steps.load_state_dict(state["optimizer"])
        self._best = state["best"]
        self._n_steps, self._n_stale, self._n_flat = state["counts"]
        self._best_value, self._factor = state["numbers"]
        say(f"Resuming after epoch {state['epoch']}")
        return int(state["epoch"])


def _optimizer(network: Network, params: Params) -> torch.optim.Optimizer:
    rate, decay = params.float("learning_rate"), params.float("weight_decay")
    if params["optimizer_type"] == "adam":
        return torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay)
    if params["optimizer_type"] == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), lr=rate, weight_decay=decay)
    momentum = params.get("momentum") or 0.0
    return torch.optim.SGD(network.parameters(), lr=rate, weight_decay=decay, momentum=momentum)


def judged(network: Network, batch: Sequence[Pair]) -> tuple[torch.Tensor, float, int]:
    """Return the summed loss of a batch's words, how many were guessed, and how many there are."""
    device = network.words.weight.device
    source = torch.from_numpy(padded([pair.source or (END,) for pair in batch])).to(device)
    said = torch.from_numpy(padded([(BEGIN, *pair.target) for pair in batch])).to(device)
    wanted = torch.from_numpy(padded([(*pair.target, END) for pair in batch])).to(device)
    memory = network.encode(source)
    outputs, _ = network.decode(said, memory, network.begin(memory))
    is_word = wanted != PAD
    scores, words = outputs[is_word], wanted[is_word]
    right = float((scores.detach().argmax(-1) == words).sum())
    return functional.cross_entropy(scores, words, reduction="sum"), right, len(words)
