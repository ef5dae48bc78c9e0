"""No file and no function grows past what a reader holds in mind."""

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "tests", "demo", "examples", "bench", "requirements", "docs")
FILE_LIMIT, FILE_AIM = 800, 400
FUNCTION_LIMIT, FUNCTION_AIM = 80, 50

EXCEPTIONS: dict[str, str] = {}
"""`path` or `path::function` that may be longer, each with its reason."""


def sources() -> list[Path]:
    """Return every Python file of the repository."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield every function's name and its length in lines, decorators left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def too_long(text: str, name: str, file_limit: int, function_limit: int) -> list[str]:
    """Return what in `text` is longer than allowed, one line each."""
    found = []
    n_lines = len(text.splitlines())
    if n_lines > file_limit and name not in EXCEPTIONS:
        found.append(f"{name}: {n_lines} lines, at most {file_limit}")
    for function, length in functions(ast.parse(text)):
        if length > function_limit and f"{name}::{function}" not in EXCEPTIONS:
            found.append(f"{name}::{function}: {length} lines, at most {function_limit}")
    return found


def measured(file_limit: int, function_limit: int) -> list[str]:
    """Return what in the repository is longer than allowed."""
    found = []
    for path in sources():
        found += too_long(path.read_text(), str(path.relative_to(ROOT)), file_limit, function_limit)
    return found


def test_no_file_and_no_function_is_over_the_limit() -> None:
    over = measured(FILE_LIMIT, FUNCTION_LIMIT)
    assert not over, "too long; split it, or name it in EXCEPTIONS with a reason:\n" + "\n".join(over)


@pytest.mark.filterwarnings("default::UserWarning")
def test_what_is_over_the_aim_is_listed() -> None:
    for line in measured(FILE_AIM, FUNCTION_AIM):
        warnings.warn(line, UserWarning, stacklevel=1)


def test_every_exception_still_exists() -> None:
    for name, reason in EXCEPTIONS.items():
        path, _, function = name.partition("::")
        text = (ROOT / path).read_text()
        assert reason, f"{name} needs a reason"
        if function:
            assert function in {each for each, _ in functions(ast.parse(text))}, f"{name} is gone"


def test_a_long_file_is_found() -> None:
    assert too_long("\n" * 11, "x.py", 10, 10) == ["x.py: 11 lines, at most 10"]


def test_a_long_function_is_found_wherever_it_stands() -> None:
    text = "class A:\n    async def f(self):\n" + "        pass\n" * 10
    assert too_long(text, "x.py", 100, 10) == ["x.py::f: 11 lines, at most 10"]
    assert too_long(text, "x.py", 100, 11) == []
