"""Training: labelled images in, a residual network out.

Source: developer guide, "How Image Classification Works".
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from clary.algorithms import _torch
from clary.algorithms._log import Log, say
from clary.algorithms._vision import augment, weights
from clary.algorithms._vision.album import epoch_order
from clary.algorithms._vision.learning import draws, half, opened, stepped
from clary.algorithms._vision.resnet import SMALL_SIDE, Classifier
from clary.algorithms.image_classification._pictures import Pictures
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from clary.algorithms._vision.learning import Course, Lesson
    from clary.algorithms.base import Training
    from clary.toolkit.hyperparameters import Params

NAME = "image-classification"
"""How model files begin. Source: the service's own artefacts."""
ALIKE = ("num_layers", "image_shape", "num_classes")
"""What a model that training goes on from must share. Source: developer guide, "Incremental Training"."""
SEED = 17
SPEED_STEPS = 20


def fit(training: Training) -> None:
    """Learn from the train channel, and leave the network of the best epoch in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty, or an image or label of it is none; or there are no weights to begin with.
    """
    with opened(training, SEED, begun, Pictures, ("sgd", "nag")) as lesson:
        n_said, n_images = training.params["num_training_samples"], len(lesson.train)
        if n_images != n_said and len(training.hosts) == 1:
            say(f"num_training_samples is {n_said}, and there are {n_images}")
        Learning(training, lesson).run()
        if training.is_first:
            leave(training, lesson.course, lesson.train)


def begun(training: Training, spool: Path) -> Classifier:
    """Return the network as training begins: anew, from pretrained weights, or from an earlier model."""
    params = training.params
    network = Classifier(params.int("num_layers"), params.int("num_classes"), params["image_shape"])
    if "model" in training.sources:
        weights.put(network, weights.earlier(training.source("model"), NAME, params, ALIKE, spool))
    elif params["use_pretrained_model"]:
        if params["image_shape"][0] != 3 or min(params["image_shape"][1:]) <= SMALL_SIDE:
            raise CustomerError(
                "Hyperparameter image_shape: use_pretrained_model=1 needs 3 channels and sides above "
                f"{SMALL_SIDE}, "
                "as 3,224,224"
            )
        weights.put(network, weights.pretrained(f"resnet-{params['num_layers']}"), but=("fc.",))
    network.to(memory_format=torch.channels_last)
    return network


class Learning:
    """Epochs of one training."""

    def __init__(self, training: Training, lesson: Lesson[Pictures]) -> None:
        self._training = training
        self._course, self._train, self._validation, self._device = lesson
        self._params = params = training.params
        self._is_multi = bool(params["multi_label"])
        self._size = params.int("mini_batch_size")
        self._k = params.get("top_k")
        is_weighted = self._is_multi and params["use_weighted_loss"]
        self._rarity = rarity(self._train.targets).to(self._device) if is_weighted else None
        self._log = Log(training, "AWS/ImageClassification")

    def run(self) -> None:
        """Learn until the last epoch, or until nothing improves."""
        epochs = self._params.int("epochs")
        for epoch in range(self._course.first_epoch, epochs):
            started = time.time()
            self._report(epoch, "Train", self._learn(epoch))
            say(f"Epoch[{epoch}] Time cost={time.time() - started:.3f}")
            score = self._report(epoch, "Validation", self.evaluate())
            self._log.progress(epoch + 1, epochs)
            is_over = self._course.judge(epoch, score)
            if self._course.best_epoch == epoch:
                say(f"Storing the best model with validation accuracy: {score:.6f}")
            frequency = self._params.get("checkpoint_frequency")
            if frequency and (epoch + 1) % frequency == 0 and self._training.is_first:
                path = self._training.model_dir / f"{NAME}-{epoch + 1:04d}.npz"
                _torch.save(path, self._course.network)
                say(f'Saved checkpoint to "{path}"')
            if is_over:
                say(f"Early stopping after epoch {epoch + 1}: validation accuracy rests")
                break

    def _learn(self, epoch: int) -> Tensor:
        course, params = self._course, self._params
        course.set_rate(stepped(params, epoch))
        course.network.train()
        draw = draws(SEED, course.group.hosts.rank, epoch)
        n_steps = course.n_steps(len(self._train), self._size)
        order = epoch_order(draw, len(self._train), n_steps, self._size)
        total, losses, asked = torch.zeros(3, dtype=torch.float64), 0.0, time.time()
        kind, (_, height, width) = params.get("augmentation_type"), params["image_shape"]
        for step, (places, pictures) in enumerate(self._train.album.take(order, self._size), 1):
            cuts = augment.parts(pictures, height, width, draw if kind else None)
            seen = augment.normal(augment.changed(augment.stacked(cuts, self._device), kind, draw))
            targets = torch.from_numpy(self._train.targets[places]).to(self._device)
            with half(params, self._device):
                scores = course.network(seen.contiguous(memory_format=torch.channels_last)).float()
            loss = self._loss(scores, targets)
            course.step(loss)
            total += self._right(scores.detach(), targets)
            losses += float(loss.detach())
            if step % SPEED_STEPS == 0:
                speed = SPEED_STEPS * self._size / max(time.time() - asked, 1e-9)
                accuracy = float(total[0] / total[2])
                say(f"Epoch[{epoch}] Batch [{step}]\tSpeed: {speed:.2f} samples/sec\taccuracy={accuracy:.6f}")
                asked = time.time()
        course.end_epoch(losses)
        return course.group.sum(total)

    def evaluate(self) -> Tensor:
        """Return sums over the validation channel: right, among the likeliest `top_k`, images."""
        self._course.network.eval()
        total = torch.zeros(3, dtype=torch.float64)
        _, height, width = self._params["image_shape"]
        with torch.inference_mode():
            for places, pictures in self._validation.album.take(
                np.arange(len(self._validation)), max(self._size, 32)
            ):
                cuts = augment.parts(pictures, height, width, None)
                seen = augment.normal(augment.stacked(cuts, self._device))
                with half(self._params, self._device):
                    scores = self._course.network(seen.contiguous(memory_format=torch.channels_last)).float()
                total += self._right(
                    scores, torch.from_numpy(self._validation.targets[places]).to(self._device)
                )
        return self._course.group.sum(total)

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        if self._is_multi:
            return functional.binary_cross_entropy_with_logits(scores, targets, pos_weight=self._rarity)
        return functional.cross_entropy(scores, targets)

    def _right(self, scores: Tensor, targets: Tensor) -> Tensor:
        if self._is_multi:
            right = ((scores > 0) == (targets > 0.5)).double().mean(1).sum()
            return torch.tensor([float(right), float(right), len(scores)], dtype=torch.float64)
        best = scores.topk(self._k or 1).indices == targets[:, None]
        return torch.tensor([float(best[:, 0].sum()), float(best.sum()), len(scores)], dtype=torch.float64)

    def _report(self, epoch: int, channel: str, sums: Tensor) -> float:
        right, among, n_images = sums.tolist()
        say(f"Epoch[{epoch}] {channel}-accuracy={right / n_images:.6f}")
        if self._k and not self._is_multi:
            say(f"Epoch[{epoch}] {channel}-top_k_accuracy_{self._k}={among / n_images:.6f}")
        return float(right / n_images)


def rarity(targets: Any) -> Tensor:
    """Return how much more a label weighs than its absence: as often as it is absent for each time there."""
    share = np.clip(targets.mean(axis=0), 1 / (len(targets) + 1), 1 - 1 / (len(targets) + 1))
    return torch.from_numpy(((1 - share) / share).astype(np.float32))


def leave(training: Training, course: Course, train: Pictures) -> None:
    """Write the network of the best epoch, its description, and the network as ONNX."""
    params = training.params
    course.network.load_state_dict(course.best)
    file = f"{NAME}-{course.best_epoch + 1:04d}.npz"
    _torch.save(training.model_dir / file, course.network)
    weights.write(training.model_dir, NAME, facts(params, train), file)
    network, shape = course.network.float().to(memory_format=torch.contiguous_format), params["image_shape"]
    _torch.export_onnx(
        training.model_dir / f"{NAME}.onnx", network, (torch.zeros(1, *shape),), ("data",), ("scores",)
    )


def facts(params: Params, train: Pictures) -> dict[str, Any]:
    """Return what answering needs to know beside the weights."""
    median = round(statistics.median_low(train.short_sides)) if train.short_sides else 0
    return {
        "num_layers": params["num_layers"],
        "num_classes": params["num_classes"],
        "image_shape": list(params["image_shape"]),
        "multi_label": params["multi_label"],
        "short_side": params.get("resize") or max(median, min(params["image_shape"][1:])),
    }
