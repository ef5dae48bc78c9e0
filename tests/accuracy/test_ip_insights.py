"""IP Insights against what frequencies alone can tell: how often someone was seen on a network.

Source: issue 5, "discriminator AUC above a frequency baseline".
"""

import ipaddress
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from clary.algorithms import base
from clary.algorithms.base import Question, Source, Training

N_PEOPLE, N_TEAMS, N_NETWORKS = 400, 20, 40


def logins(n: int, draw: np.random.Generator) -> list[tuple[int, int]]:
    """Return people and addresses: a team shares three networks, each the first 16 bits of addresses."""
    people = draw.integers(0, N_PEOPLE, n)
    teams = np.random.default_rng(1).permuted(np.tile(np.arange(N_NETWORKS), (N_TEAMS, 1)), axis=1)[:, :3]
    networks = teams[people % N_TEAMS, draw.integers(0, 3, n)]
    addresses = (10 + networks << 24) + (7 << 16) + draw.integers(0, 65536, n)
    return list(zip(people.tolist(), addresses.tolist(), strict=True))


def lines(events: Any) -> str:
    return "".join(f"user-{person},{ipaddress.IPv4Address(address)}\n" for person, address in events)


def test_it_tells_strangers_better_than_frequencies_do(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    seen, real = logins(3000, draw), logins(2000, draw)
    foreign = [(person, address) for (person, _), (_, address) in zip(real, logins(2000, draw), strict=True)]
    (tmp_path / "train").mkdir()
    (tmp_path / "train/part").write_text(lines(seen))
    algorithm = base.find("ipinsights")
    asked = {"num_entity_vectors": 4000, "vector_dim": 16, "mini_batch_size": 100, "learning_rate": 0.01}
    algorithm.fit(
        Training(
            params=algorithm.validate({name: str(value) for name, value in asked.items()}),
            sources={"train": Source(name="train", path=tmp_path / "train", content_type="text/csv")},
            model_dir=tmp_path / "model",
            output_data_dir=tmp_path / "output",
            n_threads=1,
        )
    )
    question = Question(body=lines(real + foreign).encode(), content_type="text/csv")
    [answer] = algorithm.load(tmp_path / "model", {}).predict_many([question])
    found = [each["dot_product"] for each in json.loads(answer.body)["predictions"]]
    counts = Counter((person, address >> 16) for person, address in seen)
    baseline = [counts[person, address >> 16] for person, address in real + foreign]
    truth = [1] * len(real) + [0] * len(foreign)
    ours, theirs = roc_auc_score(truth, found), roc_auc_score(truth, baseline)
    assert ours > theirs + 0.01
