"""Checkpoints of a training that may be interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xgboost

from clary.algorithms.xgboost._callbacks import Checkpointer, latest_checkpoint
from clary.containers import refusal

__getattr__ = refusal(
    "sagemaker_xgboost_container.checkpointing", "train", "load_checkpoint", "save_checkpoint"
)


def train(train_args: dict[str, Any], checkpoint_dir: str) -> xgboost.Booster:
    """Call `xgboost.train`, from the last checkpoint on, leaving one after every round."""
    given = dict(train_args)
    model, first_round = load_checkpoint(checkpoint_dir)
    given["num_boost_round"] = max(0, int(given.get("num_boost_round", 10)) - first_round)
    given["callbacks"] = [*(given.get("callbacks") or ()), save_checkpoint(checkpoint_dir, first_round)]
    if model is not None:
        given["xgb_model"] = model
    return xgboost.train(**given)


def load_checkpoint(checkpoint_dir: str, max_try: int = 5) -> tuple[xgboost.Booster | None, int]:
    """Return the model of the last checkpoint and the round to go on with; None and 0 where there is none."""
    found = latest_checkpoint(Path(checkpoint_dir))
    return (None, 0) if found is None else found


def save_checkpoint(checkpoint_dir: str, start_iteration: int = 0, **_: Any) -> Checkpointer:
    """Return the callback that leaves a checkpoint after every round."""
    Path(checkpoint_dir).mkdir(parents=True, exist_ok=True)
    return Checkpointer(Path(checkpoint_dir), start_iteration)
