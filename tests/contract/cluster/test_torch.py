"""`torch.distributed` over two nodes, as both SDKs ask for it, learns what one host does."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from clary.testing import cluster as clusters
from clary.testing.cluster import PATIENCE_S, lines
from clary.testing.jobs import wait_for_job
from clary.testing.server import Account, ClaryServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(clusters.missing()), reason=clusters.missing() or "there are clusters"),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not in this environment"),
]
PROGRAMS = Path(__file__).parent / "programs"
ENVIRONMENTS = Path(__file__).resolve().parents[3] / ".venvs"
SAID = re.compile(r"world=(\d); loss=([0-9.]+);")


@pytest.mark.parametrize("version", ["2", "3"])
def test_two_hosts_learn_what_one_does(server: ClaryServer, account: Account, version: str) -> None:
    python = ENVIRONMENTS / f"sdk{version}" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python} is not there: make test sets it up")
    done = subprocess.run(
        [python, "-W", "ignore", PROGRAMS / f"v{version}.py"],
        env={**server.env(account), "SAGEMAKER_SUPPRESS_V2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    names = re.findall(r"^(?:pytorch-training|v3-torchrun)\S+$", done.stdout, re.MULTILINE)
    assert len(names) == 2, done.stdout
    found = []
    for n, name in enumerate(names, 1):
        described = wait_for_job(account, name, limit_s=PATIENCE_S)
        text = "\n".join(lines(account, name))
        assert described["TrainingJobStatus"] == "Completed", (described.get("FailureReason"), text[-2000:])
        said = SAID.findall(text)
        assert {int(world) for world, _ in said} == {n}, text[-2000:]
        assert len(said) == n
        found += [float(loss) for _, loss in said]
    assert found == pytest.approx([found[0]] * 3, rel=1e-6)
