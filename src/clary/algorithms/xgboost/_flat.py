"""A booster as flat arrays, to be answered in place: only where they say what the library says.

Source: XGBoost's JSON schema of models, "Introduction to Model IO"; transforms in its `src/objective`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.toolkit.flat import Flat
from clary.toolkit.kernels.forest import WIDTH, Forest, linked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from clary.algorithms.xgboost._scoring import Scorer
    from clary.toolkit.flat import Form

MOST_NODES = 200_000
"""More take seconds to unfold, and too long for a row to be answered in place."""
REQUESTS = ("text/csv", "csv", "text/csv; charset=utf-8", "text/csv;charset=utf-8", "text/csv; label_size=0")
FORMATS = dict.fromkeys(("text/libsvm", "text/x-libsvm", "libsvm", ""), "libsvm")
N_PROBES = 512
_LINKS = {
    "binary:logistic": "sigmoid",
    "reg:logistic": "sigmoid",
    "binary:logitraw": "identity",
    "binary:hinge": "hinge",
    "reg:squarederror": "identity",
    "reg:squaredlogerror": "identity",
    "reg:absoluteerror": "identity",
    "reg:pseudohubererror": "identity",
    "rank:pairwise": "identity",
    "rank:ndcg": "identity",
    "rank:map": "identity",
    "count:poisson": "exponential",
    "reg:gamma": "exponential",
    "reg:tweedie": "exponential",
    "multi:softmax": "best",
    "multi:softprob": "softmax",
}


def flat(scorer: Scorer, forms: Mapping[str, Form]) -> Flat | None:
    """Return a booster as a flat model; None where that would say anything else than the library."""
    forest = _forest(scorer)
    if forest is None or not forms:
        return None
    arrays = {name: getattr(forest, name) for name in ("nodes", "splits", "values", "trees", "base")}
    return Flat(
        kind="forest",
        n_features=forest.n_features,
        arrays=arrays,
        numbers={"link": forest.link},
        requests=REQUESTS,
        formats=FORMATS,
        forms=forms,
    )


def _forest(scorer: Scorer) -> Forest | None:
    link = _LINKS.get(scorer.objective)
    if link is None or not scorer.is_fast:
        return None
    learner = json.loads(scorer.booster.save_raw("json"))["learner"]
    if int(learner["learner_model_param"].get("num_target", "1")) > 1:
        return None
    gradient_booster = learner["gradient_booster"]
    model = gradient_booster.get("gbtree", gradient_booster)["model"]
    n_trees = len(model["trees"])
    if scorer.rounds[1]:
        n_trees = int(model["iteration_indptr"][scorer.rounds[1]])
    trees, groups = model["trees"][:n_trees], model["tree_info"][:n_trees]
    scales = np.array(gradient_booster.get("weight_drop") or [], np.float32)
    if not trees or any(_is_strange(tree) for tree in trees):
        return None
    if sum(len(tree["left_children"]) for tree in trees) > MOST_NODES:
        return None
    pieces, roots, at = [], [], 0
    for tree in trees:
        piece, depth = _unfolded(tree, at)
        pieces.append(piece)
        roots.append([at, 0, depth])
        at += piece[1].shape[0]
    table = np.array(roots, np.int32)
    table[:, 1] = groups
    for first in range(0, n_trees - n_trees % WIDTH, WIDTH):
        table[first, 2] = table[first : first + WIDTH, 2].max()
    nodes, splits, values = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    for base in _bases(learner, link, max(1, scorer.n_classes)):
        leaves = _dropped(values, scales, table, base) if scales.size else values
        forest = Forest(nodes, splits, leaves, table, base, link, scorer.n_features)
        if _agrees(forest, scorer):
            return forest
    return None


def _dropped(
    values: NDArray[np.float32],
    scales: NDArray[np.float32],
    table: NDArray[np.int32],
    base: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the leaves of DART's trees, scaled with the library's rounding: each starts at the base."""
    sizes = np.diff(np.append(table[:, 0], values.size))
    start = np.repeat(base[table[:, 1]], sizes)
    return ((start + values) - start) * np.repeat(scales[: sizes.size], sizes)


def _is_strange(tree: Mapping[str, Any]) -> bool:
    """Tell whether a tree splits by category, or has several numbers in a leaf."""
    return bool(any(tree["split_type"])) or int(tree["tree_param"].get("size_leaf_vector", "1")) > 1


def _unfolded(
    tree: Mapping[str, Any], first: int
) -> tuple[tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]], int]:
    """Return a tree's nodes level by level, siblings side by side, and its depth."""
    left, right = tree["left_children"], tree["right_children"]
    order, level, depth = [0], [0], 0
    children: list[int] = []
    while level:
        following: list[int] = []
        for node in level:
            if left[node] == -1:
                children.append(-1)
            else:
                children.append(len(order))
                order += (left[node], right[node])
                following += (left[node], right[node])
        level = following
        depth += bool(level)
    places = np.array(order)
    below = np.array(children, np.int64)
    is_leaf = below < 0
    tests = np.array(tree["split_indices"], np.int64)[places] << 1 | np.array(tree["default_left"])[places]
    conditions = np.array(tree["split_conditions"], np.float32)[places]
    here = np.arange(places.size)
    nodes = np.stack([np.where(is_leaf, 1, tests), first + np.where(is_leaf, here, below)], axis=1)
    splits = np.where(is_leaf, np.float32(np.nan), conditions).astype(np.float32)
    return (nodes.astype(np.int32), splits, conditions), depth


def _bases(learner: Mapping[str, Any], link: str, n_groups: int) -> list[NDArray[np.float32]]:
    """Return what the sums may begin with: the base score as a margin, and its neighbours in float32."""
    text = str(learner["learner_model_param"]["base_score"]).strip("[]")
    given = np.array([np.float32(part) for part in text.split(",")], np.float32)
    with np.errstate(all="ignore"):
        if link == "sigmoid" or learner["objective"]["name"] == "binary:logitraw":
            margin = -np.log(np.float32(1.0) / given - np.float32(1.0))
        elif link == "exponential":
            margin = np.log(given)
        else:
            margin = given
    found = []
    for start in (margin.astype(np.float32), given):
        one = np.broadcast_to(start, (n_groups,)) if start.size in {1, n_groups} else start
        up, down = np.nextafter(one, np.float32(np.inf)), np.nextafter(one, np.float32(-np.inf))
        found += [np.ascontiguousarray(each, np.float32) for each in (one, up, down)]
    return found


def _agrees(forest: Forest, scorer: Scorer) -> bool:
    """Tell whether both say the same of rows around every kind of threshold, with and without gaps.

    Margins must be the same bits. Without numba, which a replica should not have to load, exponentials are
    NumPy's, and predictions the same within rounding.
    """
    rows = _probes(forest)
    try:
        forest.check()
    except ValueError:
        return False
    margins = scorer.margins(rows).reshape(rows.shape[0], -1)
    found = forest.margins(rows)
    if found.shape != margins.shape or not np.array_equal(found, margins, equal_nan=True):
        return False
    wanted = scorer.score(rows).reshape(rows.shape[0], -1)
    with np.errstate(all="ignore"):
        linked(forest.link, found)
    found = found[:, : forest.n_outputs]
    return found.shape == wanted.shape and np.allclose(found, wanted, rtol=1e-5, atol=1e-7, equal_nan=True)


def _probes(forest: Forest) -> NDArray[np.float32]:
    draw = np.random.default_rng(0)
    is_split = ~np.isnan(forest.splits)
    features, thresholds = forest.nodes[is_split, 0] >> 1, forest.splits[is_split]
    rows = np.zeros((N_PROBES, forest.n_features), np.float32)
    order = np.argsort(features, kind="stable")
    bounds = np.searchsorted(features[order], np.arange(forest.n_features + 1))
    for feature in np.unique(features):
        known = thresholds[order[bounds[feature] : bounds[feature + 1]]]
        picked = draw.choice(known, N_PROBES)
        aside = draw.integers(0, 3, N_PROBES)
        below = np.nextafter(picked, np.float32(-np.inf))
        rows[:, feature] = np.where(aside == 0, picked, np.where(aside == 1, below, picked * np.float32(1.1)))
    rows[draw.random(rows.shape) < 0.1] = np.nan
    rows[0] = np.nan
    return rows
