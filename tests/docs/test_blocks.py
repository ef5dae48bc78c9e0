"""Every fenced block of the documentation runs, as printed, or says why it does not."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clary.testing.server import ClaryServer

ROOT = Path(__file__).resolve().parents[2]
SDK2 = ROOT / ".venvs" / "sdk2" / "bin"
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
RUN_HERE = {
    "accounts.md",
    "getting-started.md",
    "hosting.md",
    "script-mode.md",
    "training.md",
    "transform.md",
}
"""Pages whose blocks the tests below run, all of them."""
RUN_HERE |= {"tuning.md", "notifications.md", "model-registry.md"}
RUN_HERE |= {"evaluation.md", "features.md", "processing.md"}
FENCE = re.compile(r"(?:^<!-- not run: (.+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str
    why_not: str


def blocks(path: Path) -> list[Block]:
    """Return the blocks of a page that have a language."""
    return [
        Block(found[2], found[3], found[1] or "") for found in FENCE.finditer(path.read_text()) if found[2]
    ]


def runnable(page: str, *languages: str) -> list[Block]:
    """Return the blocks of a page that run, in their order."""
    found = [each for each in blocks(ROOT / "docs" / page) if not each.why_not and each.language in languages]
    assert found, page
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_runs_or_says_why_not(path: Path) -> None:
    for block in blocks(path):
        assert block.language in {"sh", "python"}
        assert block.why_not or path.name in RUN_HERE, f"nothing runs this block:\n{block.text}"


def environment(home: Path, data_dir: Path, python: Path = Path(sys.executable).parent) -> dict[str, str]:
    """Return a newcomer's environment: `clary`, `python` and `aws` on the PATH, a home of their own."""
    if not (SDK2 / "aws").exists():
        pytest.skip("the aws command is not there: make test sets it up")
    folders = dict.fromkeys((str(python), str(Path(sys.executable).parent), str(SDK2), os.environ["PATH"]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CLARY_"))}
    return kept | {
        "HOME": str(home),
        "CLARY_DATA_DIR": str(data_dir),
        "PATH": os.pathsep.join(folders),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }


def run(command: list[str], folder: Path, environ: dict[str, str]) -> str:
    """Run a command in `folder`; return what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def stopped_after(tmp_path: Path) -> Iterator[Path]:
    """Return a data folder whose Clary is stopped in the end."""
    data_dir = tmp_path / "clary"
    yield data_dir
    environ = {**os.environ, "CLARY_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "clary.cli.main", "down", "--jobs"]
    subprocess.run(command, env=environ, capture_output=True, check=False, timeout=60)


def test_getting_started_works_as_printed(tmp_path: Path, stopped_after: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (tmp_path / "jobs.py").write_text("".join(each.text for each in runnable("getting-started.md", "python")))
    script = "".join(each.text for each in runnable("getting-started.md", "sh"))
    environ = environment(tmp_path, stopped_after) | {"CLARY_PORT": str(port)}
    text = run(["bash", "-euo", "pipefail", "-c", script], tmp_path, environ)
    assert f"Clary is up   http://127.0.0.1:{port}" in text
    assert "Clary can run here." in text
    assert '"TrainingJobSummaries": []' in text


def test_accounts_are_made_as_printed(clary_server: ClaryServer, tmp_path: Path) -> None:
    script = "".join(each.text for each in runnable("accounts.md", "sh"))
    environ = environment(tmp_path, clary_server.data_dir)
    text = run(["bash", "-euo", "pipefail", "-c", script], tmp_path, environ)
    assert "assumed-role/SageMakerRole/research" in text
    assert '"TrainingJobSummaries": []' in text


def test_a_topic_is_told_as_printed(clary_server: ClaryServer, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "".join(each.text for each in runnable("notifications.md", "python"))
    )
    run(
        ["clary", "run", "--", "python", "program.py"],
        tmp_path,
        environment(tmp_path, clary_server.data_dir),
    )


@pytest.mark.parametrize(
    "pages",
    [("training.md", "transform.md", "hosting.md", "model-registry.md"), ("script-mode.md",)],
    ids="+".join,
)
def test_programs_of_the_sdk_run_as_printed(
    clary_server: ClaryServer, tmp_path: Path, pages: tuple[str, ...]
) -> None:
    environ = environment(tmp_path, clary_server.data_dir, SDK2)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    rows = ((n % 2, n % 2 + n % 7 / 10, n % 3, n % 5, n % 11, n % 13) for n in range(400))
    (tmp_path / "train.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    program = "".join(each.text for page in pages for each in runnable(page, "python"))
    (tmp_path / "program.py").write_text(program)
    run(["clary", "run", "--", "python", "program.py"], tmp_path, environ)


PAYMENTS = "amount,shop,country,when,is_fraud\n" + "".join(
    f"{1000 if n == 50 else n % 17},{'abc'[n % 3]},{'XY'[n % 2]},"
    f"2024-01-{1 + n % 28:02}T{n % 24:02}:00,{n % 5 == 0:d}\n"
    for n in range(400)
)
PREDICTIONS = "is_fraud,p,country\n" + "".join(
    f"{n % 5 == 0:d},{(n * 37 % 100) / 160 + 0.35 * (n % 5 == 0):.4f},{'XY'[n % 2]}\n" for n in range(400)
)


def test_tuning_runs_as_printed(clary_server: ClaryServer, tmp_path: Path) -> None:
    environ = environment(tmp_path, clary_server.data_dir, SDK2)
    for name, first in (("train", 0), ("validation", 300)):
        rows = ((n % 2, n % 2 + n % 7 / 10, n % 3, n % 5) for n in range(first, first + 100))
        (tmp_path / f"{name}.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    (tmp_path / "program.py").write_text("".join(each.text for each in runnable("tuning.md", "python")))
    text = run(["clary", "run", "--", "python", "program.py"], tmp_path, environ)
    assert "FinalObjectiveValue" in text
    assert "max_depth" in text


def test_processing_runs_as_printed(clary_server: ClaryServer, tmp_path: Path) -> None:
    environ = environment(tmp_path, clary_server.data_dir, SDK2)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "payments.csv").write_text(PAYMENTS)
    (tmp_path / "program.py").write_text("".join(each.text for each in runnable("processing.md", "python")))
    text = run(["clary", "run", "--", "python", "program.py"], tmp_path, environ)
    assert "/output/train" in text


def test_features_and_evaluation_run_as_printed(tmp_path: Path) -> None:
    (tmp_path / "payments.csv").write_text(PAYMENTS)
    (tmp_path / "predictions.csv").write_text(PREDICTIONS)
    environ = environment(tmp_path, tmp_path / "clary")
    for page in ("features.md", "evaluation.md"):
        (tmp_path / "program.py").write_text("".join(each.text for each in runnable(page, "python")))
        run([sys.executable, "program.py"], tmp_path, environ)
    script = "".join(each.text for each in runnable("evaluation.md", "sh"))
    text = run(["bash", "-euo", "pipefail", "-c", script], tmp_path, environ)
    assert "instead of 0.5 saves" in text
    assert (tmp_path / "evaluation/report.html").exists()
