"""Names say what a thing is: the words that say nothing are not used, and a file's name is its member's."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.kernel import registry

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "clary"
BANNED = frozenset({"manager", "helper", "helpers", "util", "utils", "common", "misc", "info", "obj"})
BANNED_ENDINGS = ("_impl",)
ABBREVIATIONS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")


def words(name: str) -> list[str]:
    """Return the words of a name, lower case: `JobManager` and `job_manager` alike."""
    return [word.lower() for word in ABBREVIATIONS.split(name) if word]


def faults(path: str, tree: ast.Module) -> Iterator[str]:
    """Yield what in a file is named against the house style."""
    stem = Path(path).stem
    if stem != "__init__" and (BANNED & set(words(stem)) or stem.endswith(BANNED_ENDINGS)):
        yield f"{path}: module {stem!r} says nothing"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            if BANNED & set(words(node.name)):
                yield f"{path}: class {node.name} says nothing"
            if re.match(r"Base[A-Z]", node.name):
                yield f"{path}: class {node.name}: the seam's Protocol has the plain name"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.endswith(BANNED_ENDINGS):
                yield f"{path}: function {node.name} says nothing"
            if node.name.startswith("handle_"):
                yield f"{path}: function {node.name}: say what is done, not that something is"


def test_no_name_is_banned() -> None:
    found: list[str] = []
    for path in sorted(SOURCE.rglob("*.py")):
        if SOURCE / "containers" in path.parents:
            continue  # the names are those of AWS's containers
        found += faults(str(path.relative_to(ROOT)), ast.parse(path.read_text()))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a/utils.py", ""),
        ("a/job_manager.py", ""),
        ("a/x.py", "class JobManager: ..."),
        ("a/x.py", "class BaseRunner: ..."),
        ("a/x.py", "def handle_request(): ..."),
        ("a/x.py", "async def parse_impl(): ..."),
    ],
)
def test_a_banned_name_is_found(path: str, text: str) -> None:
    assert len(list(faults(path, ast.parse(text)))) == 1


@pytest.mark.parametrize("text", ["class Information: ...", "def commonly(): ...", "class Baseline: ..."])
def test_a_longer_word_is_no_banned_one(text: str) -> None:
    assert not list(faults("a/x.py", ast.parse(text)))


def test_no_package_has_a_banned_name() -> None:
    folders = {path.name for path in SOURCE.rglob("*") if path.is_dir()}
    assert not folders & BANNED


def declared_names(module: object) -> set[str]:
    """Return the `name` of every seam member that a module defines itself."""
    own = [each for each in vars(module).values() if isinstance(each, type)]
    defined_here = [each for each in own if each.__module__.startswith(getattr(module, "__name__", "?"))]
    names = (getattr(each, "name", None) for each in defined_here)
    return {name for name in names if isinstance(name, str)}


@pytest.mark.parametrize("package", ["clary.compute.placements", "clary.compute.runners", "clary.algorithms"])
def test_a_member_is_named_as_its_file(package: str) -> None:
    for stem in registry.stems(package):
        module = importlib.import_module(f"{package}.{stem}")
        names = {name.replace("-", "_") for name in declared_names(module)}
        assert not names or stem in names, f"{package}.{stem} declares {sorted(names)}"


def test_a_command_is_named_as_its_file() -> None:
    for stem in registry.stems("clary.cli.commands"):
        path = SOURCE / "cli" / "commands" / f"{stem}.py"
        top = ast.parse(path.read_text()).body
        names = {node.name for node in top if isinstance(node, ast.FunctionDef)}
        names |= {
            t.id
            for node in top
            if isinstance(node, ast.Assign)
            for t in node.targets
            if isinstance(t, ast.Name)
        }
        assert stem in names, f"cli/commands/{stem}.py defines no {stem}"


def test_a_noun_is_named_as_its_file() -> None:
    """`services/<service>/<noun>.py` declares the noun that its name is the snake case of."""
    from botocore import xform_name  # noqa: PLC0415 - the clients' own rule is the law here

    for path in sorted((SOURCE / "services").rglob("*.py")):
        if path.stem.startswith("_"):
            continue
        nouns = re.findall(r'noun="(\w+)"', path.read_text())
        assert not nouns or path.stem in {xform_name(noun) for noun in nouns}, (
            f"{path.relative_to(ROOT)} declares {nouns}"
        )
