"""How well masks and boxes fit, against scikit-learn and by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, average_precision_score, jaccard_score

from clary.algorithms._vision.overlap import average_precision, confusion, iou, mean_iou, pixel_accuracy

masks = arrays(np.int64, 60, elements=st.integers(0, 3))


@given(masks, masks)
def test_mean_iou_is_the_jaccard_index_of_scikit_learn(said: np.ndarray, wanted: np.ndarray) -> None:
    counts = confusion(said, wanted, 4)
    assert mean_iou(counts) == pytest.approx(jaccard_score(wanted, said, average="macro"))
    assert pixel_accuracy(counts) == pytest.approx(accuracy_score(wanted, said))


def test_pixels_that_are_passed_over_count_neither_way() -> None:
    counts = confusion(np.array([0, 1, 1]), np.array([0, 1, 255]), 2)
    assert counts.tolist() == [[1, 0], [0, 1]]
    assert mean_iou(counts) == pixel_accuracy(counts) == 1
    assert mean_iou(np.zeros((2, 2))) == pixel_accuracy(np.zeros((2, 2))) == 0


def test_overlaps_of_boxes_are_intersection_over_union() -> None:
    first = np.array([[0, 0, 2, 2], [5, 5, 5, 5]], float)
    second = np.array([[1, 1, 3, 3], [0, 0, 2, 2], [2, 2, 4, 4]], float)
    np.testing.assert_allclose(iou(first, second), np.array([[1 / 7, 1, 0], [0, 0, 0]]))


def objects(*boxes: tuple[float, ...]) -> np.ndarray:
    return np.array(boxes, float).reshape(-1, 5)


def test_of_two_boxes_on_one_object_the_second_is_wrong() -> None:
    wanted = [objects((0, 0, 0, 10, 10))]
    assert average_precision([objects((0.9, 0, 0, 10, 10))], wanted) == 1
    assert average_precision([objects((0.9, 0, 0, 10, 10), (0.8, 0, 0, 10, 9))], wanted) == 1
    assert average_precision([objects((0.9, 20, 20, 30, 30), (0.8, 0, 0, 10, 9))], wanted) == 0.5
    assert average_precision([objects((0.9, 0, 0, 10, 4))], wanted) == 0
    assert average_precision([objects()], wanted) == 0


def test_difficult_objects_count_neither_way() -> None:
    wanted = [objects((1, 0, 0, 10, 10), (0, 20, 20, 30, 30))]
    assert average_precision([objects((0.9, 0, 0, 10, 10), (0.8, 20, 20, 30, 30))], wanted) == 1
    assert np.isnan(average_precision([objects()], [objects((1, 0, 0, 1, 1))]))


def test_the_curve_is_that_of_its_points() -> None:
    # five images with an object each: right, wrong, right, right, wrong
    right = [True, False, True, True, False]
    wanted = [objects((0, 0, 0, 10, 10)) for _ in right]
    found = [
        objects((0.9 - 0.1 * place, *((0, 0, 10, 10) if fits else (20, 20, 30, 30))))
        for place, fits in enumerate(right)
    ]
    # recalls 0.2, 0.4, 0.6 at precisions 1, 3/4 (the best of 2/3 and 3/4), 3/4
    assert average_precision(found, wanted) == pytest.approx(0.2 * (1 + 3 / 4 + 3 / 4))


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_where_precision_never_rises_again_it_is_that_of_scikit_learn(right: list[bool]) -> None:
    ordered = sorted(right, reverse=True)
    scores = np.linspace(0.9, 0.1, len(ordered))
    wanted = [objects((0, 0, 0, 10, 10)) if fits else objects() for fits in ordered]
    found = [objects((score, 0, 0, 10, 10)) for score in scores]
    if any(ordered):
        assert average_precision(found, wanted) == pytest.approx(average_precision_score(ordered, scores))


def by_the_devkit(found: list[Any], wanted: list[Any], threshold: float) -> float:
    """Return average precision as VOC's development kit counts it: over all images at once, by score."""
    objects_of = [each.tolist() for each in wanted]
    taken = [[False] * len(each) for each in objects_of]
    n_wanted = sum(not difficult for each in objects_of for difficult, *_ in each)
    boxes = [(score, image, box) for image, each in enumerate(found) for score, *box in each.tolist()]
    right, wrong, points = 0, 0, []
    for _, image, (left, top, width, height) in sorted(boxes, key=lambda each: -each[0]):
        best, place = 0.0, -1
        for number, (_, x, y, z, w) in enumerate(objects_of[image]):
            across, down = min(width, z) - max(left, x), min(height, w) - max(top, y)
            if across > 0 and down > 0:
                both = across * down
                share = both / ((width - left) * (height - top) + (z - x) * (w - y) - both)
                if share > best:
                    best, place = share, number
        if best >= threshold:
            if objects_of[image][place][0]:
                continue
            right, wrong = right + (not taken[image][place]), wrong + taken[image][place]
            taken[image][place] = True
        else:
            wrong += 1
        points.append((right / n_wanted, right / (right + wrong)))
    area, recalls = 0.0, sorted({recall for recall, _ in points})
    for before, recall in zip([0.0, *recalls], recalls, strict=False):
        area += (recall - before) * max(precision for other, precision in points if other >= recall)
    return area


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75])
@given(seed=st.integers(0, 2**32 - 1))
def test_mean_precision_is_that_of_the_development_kit(threshold: float, seed: int) -> None:
    draw = np.random.default_rng(seed)

    def boxes(n_boxes: int, first: Any) -> Any:
        corner, sides = draw.uniform(0, 6, (n_boxes, 2)), draw.uniform(1, 5, (n_boxes, 2))
        return np.column_stack([first, corner, corner + sides])

    counts = draw.integers(0, 4, (3, 2))
    wanted = [boxes(n, draw.random(n) < 0.2) for n, _ in counts]
    found = [boxes(n, draw.random(n)) for _, n in counts]
    for several, objects_ in zip(found, wanted, strict=True):
        n_near = min(len(several), len(objects_), int(draw.integers(0, 4)))
        several[:n_near, 1:] = objects_[:n_near, 1:] + draw.normal(0, 0.2, (n_near, 4))
    if any((each[:, 0] == 0).any() for each in wanted):
        assert average_precision(found, wanted, threshold) == pytest.approx(
            by_the_devkit(found, wanted, threshold)
        )
