"""`clary model unpack` over every algorithm: the lines that it prints open what training left."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clary.algorithms import base
from clary.algorithms.base import Question
from clary.cli.main import app
from clary.kernel.errors import CustomerError
from clary.testing.algorithm_suite import train
from clary.toolkit import archive

BLOCK = re.compile(r"^# (.+)\n((?:.+\n?)+)", re.MULTILINE)
SERVER = (
    "botocore",
    "sqlalchemy",
    "uvicorn",
    "clary.gateway",
    "clary.services",
    "clary.store",
    "clary.engine",
)


def unpacked(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["model", "unpack", *map(str, arguments)])


def packed(name: str, folder: Path) -> Path:
    """Train an algorithm's first example; return its artefact, or skip where its library is missing."""
    try:
        model_dir = train(base.find(name), base.examples(name)[0], folder / "job")
    except (ImportError, CustomerError) as error:
        if "clary[" not in str(error):
            raise
        pytest.skip(f"{name}: {error}")
    path = folder / "model.tar.gz"
    with path.open("wb") as file:
        archive.pack(file, [model_dir])
    return path


@pytest.mark.parametrize("name", base.names())
def test_a_model_opens_and_answers_by_the_lines_that_unpack_prints(name: str, tmp_path: Path) -> None:
    path = packed(name, tmp_path)
    done = unpacked(path, "-o", tmp_path / "model")
    assert done.exit_code == 0, done.output
    for each in (tmp_path / "model").rglob("*"):
        assert each.name in done.output
    blocks = BLOCK.findall(done.output)
    title = base.find(name).title
    assert [head for head, _ in blocks if head.startswith(title)] == [
        f"{title}, by the plain library: pip install clary"
    ]
    assert any(head.endswith("without Clary") for head, _ in blocks)
    example = base.examples(name)[0]
    for head, code in blocks:
        names: dict[str, Any] = {}
        with contextlib.suppress(ModuleNotFoundError), contextlib.redirect_stdout(io.StringIO()):
            exec(code, names)
        if head.startswith(title):
            question = Question(body=example.requests[0], content_type=example.request_type)
            assert names["model"].predict_many([question])[0].status == 200


def test_the_plain_library_loads_without_the_server(tmp_path: Path) -> None:
    unpacked(packed("blazingtext", tmp_path), "-o", tmp_path / "model")
    code = (
        "import sys; from pathlib import Path; from clary.algorithms import base\n"
        f"base.find('blazingtext').load(Path({str(tmp_path / 'model')!r}), {{}})\n"
        f"print([name for name in {SERVER!r} if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    assert printed.stdout.strip() == "[]"


def test_what_cannot_be_unpacked_says_why(tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(b"plain")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    for arguments, reason in (
        ((tmp_path / "model.tar.gz", "-o", tmp_path / "out"), "is not a gzip archive"),
        ((tmp_path / "other.tar.gz", "-o", tmp_path / "out"), "there is no file"),
        ((tmp_path / "model.tar.gz", "-o", tmp_path / "full"), "not empty; choose another folder"),
        ((tmp_path / "model.tar.gz", "--algorithm", "kmean", "-o", tmp_path / "out"), "no algorithm kmean"),
    ):
        done = unpacked(*arguments)
        assert done.exit_code == 1
        assert reason in str(done.exception)
