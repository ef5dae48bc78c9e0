"""IP Insights: 400,000 logins of 20,000 people on 400 networks, against how often they were seen there."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench._bars import Report
from bench.algorithms._trainings import clock, train

from clary.algorithms._optimizers import optimizer
from clary.algorithms.ipinsights.fit import area

N_PEOPLE, N_NETWORKS, N_TRAIN, N_TEST = 20_000, 400, 400_000, 40_000
LENGTHS = (8, 12, 16, 20, 24)


def run(report: Report) -> None:
    (people, addresses), (asked, used) = _logins(np.random.default_rng(0))
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        for channel, events in (("train", (people, addresses)), ("validation", (asked, used))):
            (folder / channel).mkdir()
            (folder / channel / "part-0").write_text(_csv(*events))
        given = {
            "num_entity_vectors": 2 * N_PEOPLE,
            "vector_dim": 128,
            "mini_batch_size": 1000,
            "epochs": 3,
            "learning_rate": 0.01,
        }
        (_, log), seconds = clock(lambda: train("ipinsights", folder, given))
    finally:
        shutil.rmtree(folder)
    auc = max(float(line.rpartition("=")[2]) for line in log.splitlines() if "discriminator_auc" in line)
    baseline = _frequency(people, addresses, asked, used)
    report.table(
        "IP Insights, 400,000 events, vectors of 128, 3 epochs",
        ("", "AUC", "records/s"),
        [
            ("clary, file and all", f"{auc:.4f}", f"{3 * N_TRAIN / seconds:,.0f}"),
            *((name, f"{value:.4f}", "") for name, value in baseline.items()),
        ],
    )
    best = max(baseline.values())
    report.bar("IP Insights: 1 - AUC, of the best frequency's", (1 - auc) / (1 - best), 1, "x")
    sparse, dense = _steps(is_sparse=True), _steps(is_sparse=False)
    report.table(
        "Adam on 100,000 x 128, 1,000 rows touched",
        ("", "ms a step"),
        [("row-sparse", f"{1e3 * sparse:.2f}"), ("dense", f"{1e3 * dense:.2f}")],
    )
    report.bar("IP Insights: time of a row-sparse step, of dense Adam's", sparse / dense, 0.5, "x")


def _logins(draw: Any) -> list[tuple[Any, Any]]:
    """Return people and addresses: each person has up to three networks, each network up to 11 blocks."""
    popular = 1 / np.arange(1, N_NETWORKS + 1) ** 0.9
    popular /= popular.sum()
    n_blocks = draw.integers(2, 12, N_NETWORKS)
    starts = np.concatenate(([0], np.cumsum(n_blocks)))
    lengths = draw.integers(13, 21, starts[-1])
    blocks = draw.integers(1 << 24, 224 << 24, starts[-1]) >> (32 - lengths) << (32 - lengths)
    n_homes = draw.integers(1, 4, N_PEOPLE)
    homes = draw.choice(N_NETWORKS, (N_PEOPLE, 3), p=popular)
    active = 1 / np.arange(1, N_PEOPLE + 1) ** 0.6
    active /= active.sum()

    def events(n: int) -> tuple[Any, Any]:
        people = draw.choice(N_PEOPLE, n, p=active)
        network = homes[people, (draw.random(n) ** 1.5 * n_homes[people]).astype(int)]
        network = np.where(draw.random(n) < 0.03, draw.choice(N_NETWORKS, n, p=popular), network)
        block = starts[network] + (draw.random(n) * n_blocks[network]).astype(int)
        inside = (draw.random(n) * (1 << (32 - lengths[block]))).astype(np.int64)
        return people, (blocks[block] | inside).astype(np.uint32)

    return [events(N_TRAIN), events(N_TEST)]


def _csv(people: Any, addresses: Any) -> str:
    parts = addresses.astype(">u4").view(np.uint8).reshape(-1, 4)
    return "".join(
        f"user-{who},{a}.{b}.{c}.{d}\n"
        for who, (a, b, c, d) in zip(people.tolist(), parts.tolist(), strict=True)
    )


def _frequency(people: Any, addresses: Any, asked: Any, used: Any) -> dict[str, float]:
    """Return the AUC of counts: of the person on the prefix, then of the prefix."""
    draw = np.random.default_rng(1)
    others = np.concatenate(
        (used, draw.integers(0, 1 << 32, N_TEST, dtype=np.uint32), draw.permutation(used))
    )
    who = np.tile(asked, 3)
    found = {}
    for length in LENGTHS:
        shift = np.uint32(32 - length)
        counts = _counted(addresses >> shift, others >> shift) / 1e7
        counts += _counted(_both(people, addresses >> shift), _both(who, others >> shift))
        found[f"how often, the person and all, /{length}"] = area(counts[:N_TEST], counts[N_TEST:])
    return found


def _both(people: Any, prefixes: Any) -> Any:
    return people.astype(np.int64) << 32 | prefixes.astype(np.int64)


def _counted(seen: Any, asked: Any) -> Any:
    keys, counts = np.unique(seen, return_counts=True)
    places = np.searchsorted(keys, asked).clip(0, len(keys) - 1)
    return np.where(keys[places] == asked, counts[places], 0).astype(float)


def _steps(*, is_sparse: bool) -> float:
    """Return the seconds of one step."""
    draw = np.random.default_rng(0)
    table = np.zeros((100_000, 128), np.float32)
    rows = np.sort(draw.permutation(len(table))[:1000])
    gradient = draw.standard_normal((1000, 128)).astype(np.float32)
    adam, n_steps = optimizer("adam", 0.01), 50 if is_sparse else 5

    def work() -> bool:
        for _ in range(n_steps):
            if is_sparse:
                adam.step_rows("table", table, rows, gradient)
            else:
                whole = np.zeros_like(table)
                whole[rows] = gradient
                adam.step({"table": table}, {"table": whole})
        return True

    work()
    return clock(work, 3)[1] / n_steps
