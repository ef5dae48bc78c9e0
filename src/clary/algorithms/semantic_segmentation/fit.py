"""Training: pictures and masks in, a network that knows every pixel out.

Source: developer guide, "Semantic Segmentation Algorithm".
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from clary.algorithms import _torch
from clary.algorithms._log import Log, say
from clary.algorithms._vision import augment, images, weights
from clary.algorithms._vision.album import epoch_order
from clary.algorithms._vision.learning import draws, opened, stepped
from clary.algorithms._vision.masks import AUXILIARY, Segmenter
from clary.algorithms._vision.overlap import IGNORED, confusion, mean_iou, pixel_accuracy
from clary.algorithms.semantic_segmentation._pictures import Pictures
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from clary.algorithms._vision.learning import Course, Lesson
    from clary.algorithms.base import Training
    from clary.toolkit.hyperparameters import Params

NAME = "semantic-segmentation"
ALIKE = ("backbone", "algorithm", "crop_size", "num_classes")
"""What a model that training goes on from must share. Source: developer guide, "Incremental Training"."""
SEED = 17
POWER = 0.9
"""Of the poly schedule. Source: Chen et al. (2016), arXiv:1606.00915."""
_STRIDE = 8
_SMALLEST, _LARGEST = 0.5, 2.0


def fit(training: Training) -> None:
    """Learn from the train channel, and leave the network of the best epoch in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty, or a picture or mask of it is none; or there are no weights to begin with.
    """
    if len(training.hosts) > 1:
        raise CustomerError("Semantic Segmentation trains on one instance: InstanceCount must be 1")
    with opened(training, SEED, begun, Pictures, ("sgd",)) as lesson:
        Learning(training, lesson).run()
        leave(training, lesson.course)


def begun(training: Training, spool: Path) -> Segmenter:
    """Return the network as training begins: anew, with a pretrained backbone, or as a model left it."""
    params = training.params
    network = Segmenter(params.text("algorithm"), params.text("backbone"), params.int("num_classes"))
    if "model" in training.sources:
        weights.put(network, weights.earlier(training.source("model"), NAME, params, ALIKE, spool))
    elif params.is_true("use_pretrained_model"):
        weights.put(network.backbone, weights.pretrained(params.text("backbone")))
    network.to(memory_format=torch.channels_last)
    return network


class Learning:
    """Epochs of one training."""

    def __init__(self, training: Training, lesson: Lesson[Pictures]) -> None:
        self._training = training
        self._course, self._train, self._validation, self._device = lesson
        self._params = params = training.params
        self._size, self._n_classes = params.int("mini_batch_size"), params.int("num_classes")
        self._log = Log(training, "AWS/SemanticSegmentation")

    def run(self) -> None:
        """Learn until the last epoch, or until nothing improves."""
        epochs = self._params.int("epochs")
        for epoch in range(self._course.first_epoch, epochs):
            started = time.time()
            say(f"Epoch: {epoch}, train loss: {self._learn(epoch):.6f}")
            say(
                f"Epoch: {epoch}, train throughput: {len(self._train) / (time.time() - started):.3f} "
                "images/second"
            )
            started = time.time()
            counts = self.evaluate()
            score = mean_iou(counts)
            say(f"Epoch: {epoch}, validation mIOU: {score:.6f}")
            say(f"Epoch: {epoch}, validation pixel_accuracy: {pixel_accuracy(counts):.6f}")
            rate = len(self._validation) / (time.time() - started)
            say(f"Epoch: {epoch}, validation throughput: {rate:.3f} images/second")
            self._log.progress(epoch + 1, epochs)
            if self._course.judge(epoch, score):
                say(f"Early stopping after epoch {epoch + 1}: validation mIOU rests")
                break

    def _learn(self, epoch: int) -> float:
        course, params = self._course, self._params
        course.network.train()
        draw = draws(SEED, 0, epoch)
        n_steps = course.n_steps(len(self._train), self._size)
        order = epoch_order(draw, len(self._train), n_steps, self._size)
        losses = 0.0
        for step, (_, pictures) in enumerate(self._train.album.take(order, self._size)):
            course.set_rate(rate_at(params, epoch, (epoch + step / n_steps) / params.int("epochs")))
            cuts = [drawn_part(each, params.int("base_size"), crop_side(params), draw) for each in pictures]
            seen, masks = _split(cuts, self._device)
            main, second = course.network.both(seen)
            loss = _cross_entropy(main, masks) + AUXILIARY * _cross_entropy(second, masks)
            course.step(loss)
            losses += float(loss.detach())
        course.end_epoch(losses)
        return losses / n_steps

    def evaluate(self) -> NDArray[np.int64]:
        """Return how often each class of the validation channel was called each."""
        self._course.network.eval()
        counts = np.zeros((self._n_classes, self._n_classes), np.int64)
        size = self._params.int("validation_mini_batch_size")
        order = np.arange(len(self._validation))
        for _, pictures in self._validation.album.take(order, size):
            for alike in _by_shape(pictures):
                said = likelihoods(self._course.network, alike, self._params.int("base_size"), self._device)
                masks = np.stack(alike)[..., 3]
                counts += confusion(said.argmax(1).cpu().numpy().ravel(), masks.ravel(), self._n_classes)
        return counts


def rate_at(params: Params, epoch: int, done: float) -> float:
    """Return the learning rate when a share of training is done."""
    rate = params.float("learning_rate")
    match params["lr_scheduler"]:
        case "poly":
            return float(rate * (1 - done) ** POWER)
        case "cosine":
            return rate * (1 + math.cos(math.pi * done)) / 2
        case _:
            return stepped(params, epoch)


def crop_side(params: Params) -> int:
    """Return the side of the parts that training sees."""
    return -(-params.int("crop_size") // _STRIDE) * _STRIDE


def drawn_part(
    pixels: NDArray[np.uint8], base: int, side: int, draw: np.random.Generator
) -> NDArray[np.uint8]:
    """Return a square part of a picture and its mask, at a size that is drawn, mirrored by half.

    What lies beyond the picture is black, and passed over.
    """
    height, width = pixels.shape[:2]
    factor = base * draw.uniform(_SMALLEST, _LARGEST) / max(height, width)
    found = np.zeros((side, side, 4), np.uint8)
    found[..., 3] = IGNORED
    n_rows, n_columns = (min(side, max(1, round(each * factor))) for each in (height, width))
    top, left = (
        draw.uniform(0, max(each - n / factor, 0)) for each, n in ((height, n_rows), (width, n_columns))
    )
    box = left, top, min(left + n_columns / factor, width), min(top + n_rows / factor, height)
    kinds = images.pillow().Resampling
    colours, mask = (
        images.pillow().fromarray(np.ascontiguousarray(each)) for each in (pixels[..., :3], pixels[..., 3])
    )
    found[:n_rows, :n_columns, :3] = np.asarray(colours.resize((n_columns, n_rows), kinds.BILINEAR, box))
    found[:n_rows, :n_columns, 3] = np.asarray(mask.resize((n_columns, n_rows), kinds.NEAREST, box))
    return found[:, ::-1] if draw.random() < 0.5 else found


def likelihoods(
    network: torch.nn.Module, pictures: Sequence[NDArray[np.uint8]], base: int, device: Any
) -> Tensor:
    """Return the likelihood of each class in every pixel of pictures of one size.

    The network sees them with a long side of `base` pixels; what it says is enlarged to their own.
    """
    height, width = pictures[0].shape[:2]
    factor = base / max(height, width)
    sized = [
        images.array(
            images.pillow()
            .fromarray(np.ascontiguousarray(each[..., :3]))
            .resize(
                (max(_STRIDE, round(width * factor)), max(_STRIDE, round(height * factor))),
                images.pillow().Resampling.BILINEAR,
            )
        )
        for each in pictures
    ]
    with torch.inference_mode():
        scores = network(augment.normal(augment.stacked(sized, device)))
        return functional.interpolate(scores, (height, width), mode="bilinear", align_corners=False).softmax(
            1
        )


def _by_shape(pictures: Sequence[NDArray[np.uint8]]) -> Iterator[list[NDArray[np.uint8]]]:
    for shape in dict.fromkeys(each.shape for each in pictures):
        yield [each for each in pictures if each.shape == shape]


def _split(cuts: Sequence[NDArray[np.uint8]], device: Any) -> tuple[Tensor, Tensor]:
    both = np.stack(cuts)
    seen = augment.normal(augment.stacked(list(both[..., :3]), device))
    masks = torch.from_numpy(both[..., 3].astype(np.int64)).to(device)
    return seen.contiguous(memory_format=torch.channels_last), masks


def _cross_entropy(scores: Tensor, masks: Tensor) -> Tensor:
    """Return the mean over pixels that count; nothing where none does."""
    total = functional.cross_entropy(scores, masks, ignore_index=IGNORED, reduction="sum")
    return total / (masks != IGNORED).sum().clamp_min(1)


def leave(training: Training, course: Course) -> None:
    """Write the network of the best epoch, its description, and the network as ONNX."""
    params = training.params
    course.network.load_state_dict(course.best)
    _torch.save(training.model_dir / f"{NAME}.npz", course.network)
    facts = {name: params[name] for name in (*ALIKE, "base_size")}
    weights.write(training.model_dir, NAME, facts, f"{NAME}.npz")
    side = crop_side(params)
    network = course.network.to(memory_format=torch.contiguous_format)
    try:
        _torch.export_onnx(
            training.model_dir / f"{NAME}.onnx",
            network,
            (torch.zeros(1, 3, side, side),),
            ("data",),
            ("scores",),
        )
    except torch.onnx.errors.OnnxExporterError as error:
        say(f"There is no ONNX file of this network: {str(error).splitlines()[0]}")
