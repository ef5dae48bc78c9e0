"""Training: images and boxes in, SSD out.

Source: Liu et al. (2016), "SSD: single shot multibox detector", arXiv:1512.02325.
"""

from __future__ import annotations

import json
import re
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
from clary.algorithms._vision.overlap import average_precision
from clary.algorithms.object_detection._network import Detector, corners, decoded, encoded, overlaps
from clary.algorithms.object_detection._pictures import Pictures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from clary.algorithms._vision.learning import Course, Lesson
    from clary.algorithms.base import Training

NAME = "object-detection"
ALIKE = ("base_network", "num_classes")
"""What a model that training goes on from must share. Source: developer guide, "Incremental Training"."""
SEED = 17
MATCHED = 0.5
"""Overlap from which a box learns an object."""
NEGATIVES = 3
"""Boxes of nothing that learn, for each that has an object: the worst."""
LEAST_SCORE, MOST_BOXES = 0.01, 400
"""What is looked at of what is found. Source: MXNet, `MultiBoxDetection` of its SSD."""
SHOWN_STEPS = 10
CROPS, WIDE = 0.5, 0.25
"""Shares of images of which a part is taken, and around which there is more ground."""
GROUND = 116
"""Of what lies around images: the mean of ImageNet's colours."""


def fit(training: Training) -> None:
    """Learn from the train channel, and leave the network of the best epoch in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty, or an image or annotation of it is none; or there are no weights to begin with.
    """
    with opened(training, SEED, begun, Pictures, ("sgd", "rmsprop")) as lesson:
        Learning(training, lesson).run()
        if training.is_first:
            leave(training, lesson.course)


def begun(training: Training, spool: Path) -> Detector:
    """Return the network as training begins: anew, on a pretrained base, or as an earlier model left it."""
    params = training.params
    network = Detector(params.text("base_network"), params.int("num_classes"), params.int("image_shape"))
    if "model" in training.sources:
        weights.put(network, weights.earlier(training.source("model"), NAME, params, ALIKE, spool))
    elif params["use_pretrained_model"]:
        weights.put(
            network.base, weights.pretrained(params.text("base_network")), but=("fc6", "fc7", "scale")
        )
    pattern = params.text("freeze_layer_pattern")
    for name, each in network.base.named_parameters():
        if pattern and any(re.search(pattern, alias) for alias in (name, known_as(name))):
            each.requires_grad_(False)
    return network


def known_as(name: str) -> str:
    """Return how MXNet's networks name a weight: `conv1_2_weight`, `stage1_unit1_conv2_weight`.

    Examples
    --------
    >>> known_as("features.2.weight"), known_as("layer2.0.conv1.weight")
    ('conv1_2_weight', 'stage2_unit1_conv1_weight')
    """
    if match := re.fullmatch(r"features\.(\d+)\.(\w+)", name):
        places = {0: (1, 1), 2: (1, 2), 5: (2, 1), 7: (2, 2), 10: (3, 1), 12: (3, 2), 14: (3, 3)}
        places |= {17: (4, 1), 19: (4, 2), 21: (4, 3), 24: (5, 1), 26: (5, 2), 28: (5, 3)}
        block, number = places[int(match[1])]
        return f"conv{block}_{number}_{match[2]}"
    if match := re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", name):
        return f"stage{match[1]}_unit{int(match[2]) + 1}_{match[3].replace('.', '_')}"
    return name.replace("conv1.", "conv0_").replace("bn1.", "bn0_")


class Learning:
    """Epochs of one training."""

    def __init__(self, training: Training, lesson: Lesson[Pictures]) -> None:
        self._training = training
        self._course, self._train, self._validation, self._device = lesson
        self._params = params = training.params
        self._size, self._side = params.int("mini_batch_size"), params.int("image_shape")
        self._log = Log(training, "AWS/ObjectDetection")

    def run(self) -> None:
        """Learn until the last epoch, or until nothing improves."""
        epochs = self._params.int("epochs")
        for epoch in range(self._course.first_epoch, epochs):
            started = time.time()
            self._learn(epoch)
            self._log.throughput(len(self._train), time.time() - started)
            score = self.evaluate()
            say(
                f"#quality_metric: host={self._training.host}, epoch={epoch}, validation mAP "
                f"<score>=({score})"
            )
            self._log.progress(epoch + 1, epochs)
            if self._course.judge(epoch, score):
                say(f"Early stopping after epoch {epoch + 1}: validation mAP rests")
                break

    def _learn(self, epoch: int) -> None:
        course = self._course
        course.set_rate(stepped(self._params, epoch))
        course.network.train()
        draw = draws(SEED, course.group.hosts.rank, epoch)
        n_steps = course.n_steps(len(self._train), self._size)
        order = epoch_order(draw, len(self._train), n_steps, self._size)
        sums = np.zeros(2)
        for step, (places, pictures) in enumerate(self._train.album.take(order, self._size)):
            drawn = [
                changed(picture, self._train.objects[place], self._side, draw)
                for place, picture in zip(places, pictures, strict=True)
            ]
            seen = augment.stacked([picture for picture, _ in drawn], self._device)
            scores, offsets = course.network(augment.normal(augment.recoloured(seen, draw)))
            crossed, moved = losses(course.network.boxes, scores, offsets, [each for _, each in drawn])
            course.step(crossed + moved)
            sums += float(crossed.detach()), float(moved.detach())
            if step % SHOWN_STEPS == 0 or step + 1 == n_steps:
                for name, loss in zip(("cross_entropy", "smooth_l1"), sums / (step + 1), strict=True):
                    say(
                        f"#quality_metric: host={self._training.host}, epoch={epoch}, batch={step} "
                        f"train {name} <loss>=({loss})"
                    )
        course.end_epoch(float(sums.sum()))

    def evaluate(self) -> float:
        """Return the mean average precision on the validation channels of all hosts."""
        self._course.network.eval()
        found: list[list[list[float]]] = []
        order = np.arange(len(self._validation))
        for _, pictures in self._validation.album.take(order, self._size):
            seen = [squared(each, self._side) for each in pictures]
            found += detections(self._course.network, seen, self._params.float("nms_threshold"), self._device)
        own = json.dumps([found, [each.tolist() for each in self._validation.objects]]).encode()
        both = [json.loads(each) for each in self._course.group.hosts.gather(own)]
        return mean_average_precision(
            [each for said, _ in both for each in said],
            [each for _, objects in both for each in objects],
            self._params.float("overlap_threshold"),
        )


def mean_average_precision(
    found: Sequence[Sequence[Sequence[float]]], objects: Sequence[Sequence[Sequence[float]]], threshold: float
) -> float:
    """Return the mean, over classes that are there, of average precision.

    Parameters
    ----------
    found : sequence
        Of each image, what was found: class, score, left, top, right, bottom.
    objects : sequence
        Of each image, what is there: class, left, top, right, bottom, difficult.
    """
    there = [np.array(each, float).reshape(-1, 6) for each in objects]
    said = [np.array(each, float).reshape(-1, 6) for each in found]
    scores = [
        average_precision(
            [each[each[:, 0] == kind][:, 1:] for each in said],
            [each[each[:, 0] == kind][:, [5, 1, 2, 3, 4]] for each in there],
            threshold,
        )
        for kind in sorted({kind for each in there for kind in each[:, 0]})
    ]
    counted = [each for each in scores if not np.isnan(each)]
    return float(np.mean(counted)) if counted else 0.0


def squared(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a picture brought to `side` pixels each way."""
    pillow = images.pillow()
    return images.array(pillow.fromarray(pixels).resize((side, side), pillow.Resampling.BILINEAR))


def changed(
    pixels: NDArray[np.uint8], objects: NDArray[np.float32], side: int, draw: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return a part of a picture, or it with ground around, mirrored by half, with the objects it shows."""
    chance = draw.random()
    left, top, width, height = 0.0, 0.0, 1.0, 1.0
    if chance < CROPS:
        width, height = draw.uniform(0.5, 1, 2)
        left, top = draw.uniform(0, 1 - width), draw.uniform(0, 1 - height)
    elif chance < CROPS + WIDE:
        width = height = draw.uniform(1, 2)
        left, top = -draw.uniform(0, width - 1), -draw.uniform(0, height - 1)
    boxes = (objects[:, 1:5] - np.array((left, top, left, top))) / np.array((width, height, width, height))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    kept = ((centres > 0) & (centres < 1)).all(1)
    if len(objects) and not kept.any():
        return changed(pixels, objects, side, draw)
    found = _part(pixels, (left, top, width, height), side)
    shown = objects[kept].copy()
    shown[:, 1:5] = boxes[kept].clip(0, 1)
    if draw.random() < 0.5:
        found = found[:, ::-1]
        shown[:, [1, 3]] = 1 - shown[:, [3, 1]]
    return found, shown


def _part(pixels: NDArray[np.uint8], box: tuple[float, float, float, float], side: int) -> NDArray[np.uint8]:
    """Return a part of a picture, given as shares of it; what lies beyond is ground."""
    left, top, width, height = box
    n_rows, n_columns = pixels.shape[:2]
    seen = max(left, 0), max(top, 0), min(left + width, 1), min(top + height, 1)
    place = [round(side * each) for each in ((seen[0] - left) / width, (seen[1] - top) / height)]
    size = [
        max(1, round(side * each)) for each in ((seen[2] - seen[0]) / width, (seen[3] - seen[1]) / height)
    ]
    size = [min(each, side - start) for each, start in zip(size, place, strict=True)]
    pillow = images.pillow()
    inner = pillow.fromarray(pixels).resize(
        size,
        pillow.Resampling.BILINEAR,
        (seen[0] * n_columns, seen[1] * n_rows, seen[2] * n_columns, seen[3] * n_rows),
    )
    found = np.full((side, side, 3), GROUND, np.uint8)
    found[place[1] : place[1] + size[1], place[0] : place[0] + size[0]] = np.asarray(inner)
    return found


def losses(
    boxes: Tensor, scores: Tensor, offsets: Tensor, objects: Sequence[NDArray[np.float32]]
) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of classes and the smooth L1 of offsets, of each box that has an object."""
    kinds, wanted = zip(
        *(matched(boxes, torch.from_numpy(each).to(boxes.device)) for each in objects), strict=True
    )
    kind, offset = torch.stack(kinds), torch.stack(wanted)
    has = kind > 0
    n_matched = has.sum().clamp_min(1)
    moved = functional.smooth_l1_loss(offsets[has], offset[has], reduction="sum") / n_matched
    crossed = functional.cross_entropy(scores.transpose(1, 2), kind, reduction="none")
    ranks = crossed.detach().masked_fill(has, -1).argsort(1, descending=True).argsort(1)
    worst = ranks < (NEGATIVES * has.sum(1, keepdim=True)).clamp_min(1)
    return crossed[has | (worst & ~has)].sum() / n_matched, moved


def matched(boxes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each box learns: 0 for nothing or a class and 1, and its offsets."""
    kinds = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    if not len(objects):
        return kinds, torch.zeros_like(boxes)
    fit = overlaps(corners(boxes), objects[:, 1:5])
    best, place = fit.max(1)
    for each in range(len(objects)):  # every object has one box at least, the one that fits it best
        own = int(fit[:, each].argmax())
        best[own], place[own] = 2.0, each
    kinds[best >= MATCHED] = objects[place[best >= MATCHED], 0].long() + 1
    return kinds, encoded(objects[place, 1:5], boxes)


def detections(
    network: torch.nn.Module, pictures: Sequence[NDArray[np.uint8]], threshold: float, device: Any
) -> list[list[list[float]]]:
    """Return what is found in each picture, the likeliest first: class, score, left, top, right, bottom."""
    with torch.inference_mode():
        scores, offsets = network(augment.normal(augment.stacked(pictures, device)))
        likely, kinds = scores.softmax(2)[..., 1:].max(2)
        places = decoded(offsets, network.boxes).clamp(0, 1)
    return [
        _apart(score.cpu(), kind.cpu(), box.cpu(), threshold)
        for score, kind, box in zip(likely, kinds, places, strict=True)
    ]


def _apart(scores: Tensor, kinds: Tensor, boxes: Tensor, threshold: float) -> list[list[float]]:
    """Return boxes without those that overlap a likelier one of their class."""
    chosen = scores.argsort(descending=True, stable=True)[:MOST_BOXES]
    chosen = chosen[scores[chosen] > LEAST_SCORE]
    clash = overlaps(boxes[chosen], boxes[chosen]) > threshold
    clash &= kinds[chosen][:, None] == kinds[chosen][None, :]
    kept: list[int] = []
    gone = torch.zeros(len(chosen), dtype=torch.bool)
    for place in range(len(chosen)):
        if not gone[place]:
            kept.append(place)
            gone |= clash[place]
    rows = torch.cat((kinds[chosen, None].float(), scores[chosen, None], boxes[chosen]), 1)[kept]
    found: list[list[float]] = rows.tolist()
    return found


def leave(training: Training, course: Course) -> None:
    """Write the network of the best epoch, its description, and the network as ONNX."""
    params = training.params
    course.network.load_state_dict(course.best)
    _torch.save(training.model_dir / f"{NAME}.npz", course.network, boxes=course.network.boxes.cpu().numpy())
    facts = {name: params[name] for name in (*ALIKE, "image_shape", "nms_threshold")}
    weights.write(training.model_dir, NAME, facts, f"{NAME}.npz")
    side = params.int("image_shape")
    _torch.export_onnx(
        training.model_dir / f"{NAME}.onnx",
        course.network,
        (torch.zeros(1, 3, side, side),),
        ("data",),
        ("scores", "offsets"),
    )
