"""Training: channels in, `xgboost-model` out.

Source
------
Chen and Guestrin (2016), doi:10.1145/2939672.2939785; the library's own `xgboost.train`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost
from xgboost.core import XGBoostError

from clary.algorithms.xgboost import _artifact, _data, _flaws, _folds, _hosts, _library, _metrics
from clary.algorithms.xgboost._artifact import MODEL_FILE
from clary.algorithms.xgboost._callbacks import (
    Checkpointer,
    Monitor,
    Patience,
    Stop,
    Stopper,
    latest_checkpoint,
    shown_name,
)
from clary.algorithms.xgboost._rules import asked_metrics
from clary.kernel.errors import CustomerError
from clary.toolkit.formats.base import Table, concatenate

if TYPE_CHECKING:
    from pathlib import Path

    from clary.algorithms.base import Source, Training


@dataclass(frozen=True)
class _Rows:
    """What this host read."""

    train: Table
    validation: Table | None


def fit(training: Training) -> None:
    """Boost trees on the train channel; the first host leaves `xgboost-model` in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed, or the library refuses data or hyperparameters.
    SystemExit
        SIGTERM came, and `save_model_on_termination` is not true.
    """
    rows, fault = None, ""
    try:
        rows = _read(training)
    except CustomerError as error:
        if len(training.hosts) == 1:
            raise
        fault = str(error)  # the others wait for this host
    try:
        with _hosts.joined(training, _report(training, rows, fault)) as reports:
            assert rows is not None
            _agree(training, rows, reports)
            _boost(training, rows)
    except XGBoostError as error:
        places = [place for source in training.sources.values() if (place := _flaw(training, source))]
        text = "; ".join([_library.plain(error), *places])
        raise CustomerError(f"XGB train call failed with exception: {text}") from error


def _flaw(training: Training, source: Source) -> str:
    """Return where a channel's first row is that the objective cannot learn, and why."""
    if source.name not in {"train", "validation"}:
        return ""
    params = training.params
    return _flaws.first(
        source,
        _library.objective(params),
        int(params.get("num_class", 0)),
        has_weights=params.is_true("csv_weights"),
    )


def say(text: str) -> None:
    """Print one line of the container's log."""
    print(f"[{time.strftime('%Y-%m-%d:%H:%M:%S')}:INFO] {text}", flush=True)  # noqa: T201 - the job's log


def _read(training: Training) -> _Rows:
    has_weights = training.params.is_true("csv_weights")
    tables = []
    for name in ("train", "validation"):
        source = training.source(name) if name == "train" else training.sources.get(name)
        if source is None:
            continue
        table = _data.read(source, has_weights=has_weights)
        if not table.n_rows and len(training.hosts) == 1:
            what = "training" if name == "train" else name
            raise CustomerError(f"No data in {what} channel path {source.path}")
        if table.labels is not None and not np.isfinite(table.labels).all():
            place = _flaw(training, source) or "a label is no finite number"
            raise CustomerError(f"Failed to load data of channel {name}: {place}")
        tables.append(table)
    return _Rows(tables[0], tables[1] if len(tables) > 1 else None)


def _report(training: Training, rows: _Rows | None, fault: str) -> _hosts.Report:
    if rows is None:
        return _hosts.Report(training.host, fault=fault)
    widths = [table.n_columns for table in (rows.train, rows.validation) if table is not None]
    return _hosts.Report(training.host, rows.train.n_rows, max(widths))


def _agree(training: Training, rows: _Rows, reports: list[_hosts.Report]) -> None:
    """Widen sparse rows to the widest of all hosts, and give hosts without rows tables without rows."""
    for report in reports:
        if not report.n_rows and training.is_first:
            say(f"Host {report.host} has no training data: ShardedByS3Key needs a file for each host")
    width = max(report.n_columns for report in reports)
    tables = {"train": rows.train, **({"validation": rows.validation} if rows.validation else {})}
    for table in tables.values():
        if not table.n_rows:
            _make_empty(table, width)
    _data.fit_widths(tables, width)


def _make_empty(table: Table, width: int) -> None:
    """Give a host without rows a table of no rows, as wide as the others'."""
    table.features = np.zeros((0, width), np.float32)
    table.labels = np.zeros(0, np.float32)


def _boost(training: Training, rows: _Rows) -> None:
    params = training.params
    goal = _library.objective(params)
    n_threads = int(params.get("nthread", training.n_threads)) or 1
    chosen = _library.settings(params, n_threads)
    if "_kfold" in params:
        _cross_validate(training, rows, chosen)
        return
    if len(training.hosts) > 1 and chosen.get("tree_method") == "exact":
        chosen["tree_method"] = "approx"  # what 0.72 did without a word; XGBoost 3 fails
        if training.is_first:
            say("tree_method=exact is approx on several hosts")
    train = _data.matrix(rows.train, goal, n_threads)
    if training.is_first:
        say(f"Train matrix has {train.num_row()} rows and {train.num_col()} columns")
    watched = [(train, "train")]
    if rows.validation is not None:
        watched.append((_data.matrix(rows.validation, goal, n_threads), "validation"))
        if training.is_first:
            say(f"Validation matrix has {rows.validation.n_rows} rows")
    booster, _ = _train(training, chosen, watched)
    if training.is_first:
        _artifact.save(booster, training.model_dir / MODEL_FILE)


def _train(
    training: Training, chosen: dict[str, Any], watched: list[tuple[xgboost.DMatrix, str]]
) -> tuple[xgboost.Booster, dict[str, Any]]:
    """Train one model, from its checkpoint if there is one; return it and its metrics."""
    params = training.params
    n_rounds, done = params.int("num_round"), 0
    start = _start(training, n_rounds)
    checkpoints = training.checkpoint_dir if params.get("process_type") != "update" else None
    resumed = latest_checkpoint(checkpoints)
    if resumed is not None:
        start, done = resumed
        say(f"Resuming from iteration {done}")
        if done >= n_rounds:
            return start, {}
    asked = asked_metrics(params)
    callbacks: list[Any] = [Monitor(done, asked, speaks=training.is_first)]
    writer = Checkpointer(checkpoints, done) if checkpoints is not None and training.is_first else None
    if writer is not None:
        callbacks.append(writer)
    keeps_model = params.is_true("save_model_on_termination")
    log: dict[str, Any] = {}
    with Stop() as stop:
        callbacks.append(Stopper(stop, keeps_model=keeps_model, at_end=writer.write if writer else None))
        if "early_stopping_rounds" in params:
            callbacks += _patience(training, asked, watched)
        booster = xgboost.train(
            chosen,
            watched[0][0],
            num_boost_round=n_rounds - done,
            evals=watched,
            custom_metric=_metrics.evaluator(
                _library.own_metrics(params), chosen["objective"], int(params.get("num_class", 2))
            ),
            callbacks=callbacks,
            evals_result=log,
            xgb_model=start,
            verbose_eval=False,
        )
    return booster, log


def _start(training: Training, n_rounds: int) -> xgboost.Booster | None:
    """Return the model that training goes on from."""
    updates = training.params.get("process_type") == "update"
    if "model" not in training.sources:
        if updates:
            raise CustomerError("Hyperparameter process_type: value update needs a model, in channel model")
        return None
    start = _data.earlier_model(training.sources["model"])
    if updates and start.num_boosted_rounds() < n_rounds:
        raise CustomerError(
            f"Hyperparameter num_round: value {n_rounds} is more than the {start.num_boosted_rounds()} "
            "rounds of the model that process_type update goes over"
        )
    return start


def _patience(training: Training, asked: tuple[str, ...], watched: list[tuple[Any, str]]) -> list[Any]:
    if len(watched) < 2:
        say("early_stopping_rounds has no effect without a validation channel")
        return []
    return [
        Patience(
            training.params.int("early_stopping_rounds"),
            asked[-1] if asked else None,
            keeps_best=training.params.get("booster") != "gblinear",  # whose rounds cannot be cut off
        )
    ]


def _cross_validate(training: Training, rows: _Rows, chosen: dict[str, Any]) -> None:
    """Train a model on every fold of train and validation together."""
    params = training.params
    if len(training.hosts) > 1:
        raise CustomerError("Hyperparameter _kfold: cross validation runs on one instance")
    n_folds, n_repeats = params.int("_kfold"), int(params.get("_num_cv_round", 1))
    table = concatenate([rows.train, *([rows.validation] if rows.validation else [])])
    goal = str(chosen["objective"])
    data = _data.matrix(table, goal, chosen["nthread"])
    labels = data.get_label()
    is_classification = goal.startswith(("binary:", "multi:"))
    held_out = _folds.HeldOut(labels, n_repeats, is_classification=is_classification)
    splits = _folds.parts(labels, n_folds, n_repeats, params.get("seed"), by_class=is_classification)
    say(f"Run {n_repeats}-round of {n_folds}-fold cross validation with {data.num_row()} rows")
    logs = []
    asked = asked_metrics(params)
    for number, (learnt, kept) in enumerate(splits):
        say(f"Train cross validation fold {number % n_folds + 1}")
        of_fold = replace(training, checkpoint_dir=_fold_dir(training.checkpoint_dir, number))
        held = data.slice(kept)
        booster, log = _train(of_fold, chosen, [(data.slice(learnt), "train"), (held, "validation")])
        if log:
            logs.append(log)
        held_out.add(kept, booster.predict(held))
        _artifact.save(booster, training.model_dir / f"{MODEL_FILE}-{number}")
        if logs and (number + 1) % n_folds == 0:
            _print_means(params.int("num_round"), logs[-n_folds:], asked, f"round {(number + 1) // n_folds}")
    if logs and n_repeats > 1:
        _print_means(params.int("num_round"), logs, asked, f"all {n_repeats} rounds")
    held_out.save(training.output_data_dir)


def _fold_dir(folder: Path | None, number: int) -> Path | None:
    return folder / f"model-{number}" if folder is not None else None


def _print_means(n_rounds: int, logs: list[Any], asked: tuple[str, ...], of: str) -> None:
    say(f"The metrics of {of} cross validation")
    sys.stdout.write(_folds.mean_line(n_rounds, logs, lambda metric: shown_name(metric, asked)) + "\n")
    sys.stdout.flush()
