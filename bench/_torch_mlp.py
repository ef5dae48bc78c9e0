"""A small torch network for bench/serving.py: weights, Clary's endpoint in script mode, the peers' predictor.

    python -m bench._torch_mlp [--seconds 2] [--python PYTHON]

By itself it measures the endpoint alone. `PYTHON` is one that has torch; by default this one.
"""

import io
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from bench import _stage
from bench._drive import ask
from bench._sites import N_FEATURES, Deployed, upload
from bench._stage import Stage
from bench.control import running

from clary.testing.server import Account

WIDTHS = (N_FEATURES, 64, 64, 1)
CONNECTIONS = (1, 8, 64)
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.3.0-cpu-py311"
NETWORK = """
def network(path):
    import numpy as np
    import torch
    torch.set_num_threads(1)
    weights, layers = np.load(path), []
    for place in range(len(weights) // 2):
        weight, bias = (torch.from_numpy(weights[name + str(place)]) for name in ("weight", "bias"))
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = weight, bias
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).eval()
"""
"""Source of a function that builds the network; Clary's script and every peer have the same."""
INFERENCE = (
    NETWORK
    + """
def model_fn(model_dir):
    return network(model_dir + "/mlp.npz")
"""
)
PREDICTOR = (
    NETWORK
    + """
def mlp_predictor(root):
    import numpy as np
    import torch
    model = network(root + "/mlp.npz")
    def score(rows):
        with torch.inference_mode():
            return model(torch.from_numpy(np.ascontiguousarray(rows, np.float32))).numpy()[:, 0]
    return score
"""
)
"""Source of what a peer answers with: rows to scores."""


def weights() -> bytes:
    """Return the network's weights, an npz that is the same each time."""
    draw, stream = np.random.default_rng(7), io.BytesIO()
    arrays = {}
    for place, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        arrays[f"weight{place}"] = (draw.normal(size=(outputs, inputs)) / inputs**0.5).astype(np.float32)
        arrays[f"bias{place}"] = draw.normal(size=outputs).astype(np.float32)
    np.savez(stream, **arrays)
    return stream.getvalue()


def container(account: Account, home: Path) -> dict[str, Any]:
    """Leave the weights for the peers, upload them with a script of one function; return its container."""
    (home / "mlp.npz").write_bytes(weights())
    files = {"mlp.npz": weights(), "code/inference.py": INFERENCE}
    return {
        "Image": IMAGE,
        "ModelDataUrl": upload(account, files),
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_TS_BATCH_SIZE": "64"},
    }


def main() -> int:
    """Measure the endpoint alone."""
    return _stage.run("torch_mlp", __doc__, measure, python={"default": "", "help": "that has torch"})


def measure(stage: Stage) -> None:
    """Measure the endpoint alone."""
    if stage.chosen.python:
        os.environ["CLARY_RUNTIME_PYTHON"] = os.path.abspath(stage.chosen.python)
    driver = stage.driver
    with running(stage.home) as (server, account):
        site = Deployed(server, account, container(account, stage.home))
        row = np.random.default_rng(8).normal(size=N_FEATURES).astype(np.float32)
        requests = site.requests(",".join(f"{value:.6g}" for value in row))
        print(ask(site.port, requests[0])[:80])
        rows = []
        for n in CONNECTIONS:
            driver.run(site.port, requests, connections=n, seconds=0.5, pids=())
            load = driver.run(site.port, requests, connections=n, seconds=stage.seconds, pids=site.pids)
            rows.append((f"{n}", load.cpu_us, load.rps, load.p50_us, load.p99_us))
    head = ("connections", "CPU us", "requests/s", "p50 us", "p99 us")
    stage.report.table("A network of 30-64-64-1, script mode, one row of CSV, signed", head, rows)
    stage.report.facts["loads"] = rows


def python() -> Path | None:
    """Return an interpreter that has torch: `CLARY_BENCH_TORCH`, or this one; None where there is none."""
    for each in (os.environ.get("CLARY_BENCH_TORCH", ""), sys.executable):
        look = [each, "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)"]
        if each and subprocess.run(look, check=False, capture_output=True).returncode == 0:
            return Path(os.path.abspath(each))
    return None


if __name__ == "__main__":
    sys.exit(main())
