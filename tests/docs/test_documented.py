"""What can be set, typed or asked for is written down."""

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clary.cli.main import load
from clary.kernel import registry
from clary.kernel.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_tools" not in path.parts)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(Settings)])
def test_every_setting_is_documented(name: str) -> None:
    assert f"`CLARY_{name.upper()}`" in (DOCS / "settings.md").read_text()


def test_no_setting_is_documented_that_is_gone() -> None:
    written = set(re.findall(r"^\| `CLARY_(\w+)`", (DOCS / "settings.md").read_text(), re.MULTILINE))
    assert written == {each.name.upper() for each in dataclasses.fields(Settings)}


@pytest.mark.parametrize("command", registry.stems("clary.cli.commands"))
def test_every_command_is_documented(command: str) -> None:
    assert re.search(rf"^## `clary {command}", (DOCS / "cli.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", registry.stems("clary.cli.commands"))
def test_every_option_of_a_command_is_documented(command: str) -> None:
    page = (DOCS / "cli.md").read_text()
    section = page.partition(f"## `clary {command}`")[2].partition("\n## ")[0]
    loaded = load(command)
    for each in getattr(loaded, "commands", {command: loaded}).values():
        for option in (name for param in each.params for name in param.opts if name.startswith("--")):
            everywhere = option in {"--help", "--data-dir"}  # the page's beginning says so of all
            assert everywhere or f"`{option}" in section or f" {option}`" in section, f"{each.name} {option}"


@pytest.mark.parametrize(
    "path", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name
)
def test_every_link_within_the_repository_leads_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    for path in PAGES:
        assert str(path.relative_to(DOCS)) in navigation, f"{path.relative_to(ROOT)} is not in mkdocs.yml"


def test_the_guide_for_contributors_stays_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 100


@pytest.mark.parametrize("path", sorted((DOCS / "adr").glob("0*.md")), ids=lambda path: path.stem)
def test_a_decision_has_its_four_parts_and_fits_a_page(path: Path) -> None:
    text = path.read_text()
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Alternatives", "Consequences"]
    assert len(text.splitlines()) <= 60


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (DOCS / "adr").glob("0*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("note", ["wire", "engine", "store", "compute", "serving", "algorithms"])
def test_every_floor_has_a_note_with_a_life_cycle(note: str) -> None:
    assert re.search(r"^1\. ", (DOCS / "notes" / f"{note}.md").read_text(), re.MULTILINE)


def test_every_example_compiles() -> None:
    for path in (ROOT / "examples").rglob("*.py"):
        compile(path.read_text(), str(path), "exec")


def test_python_in_the_documentation_compiles() -> None:
    for path in [*PAGES, ROOT / "README.md"]:
        for block in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
            compile(block, str(path), "exec")


def test_changelog_fragments_have_a_known_kind() -> None:
    kinds = {"feature", "bugfix", "doc", "removal", "misc"}
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if path.suffix == ".md"]
    assert fragments
    for path in fragments:
        assert path.name.split(".")[1] in kinds, path.name
        assert path.read_text().strip(), f"{path.name} is empty"


def test_towncrier_reads_the_fragments() -> None:
    tool = shutil.which("towncrier", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("towncrier is not installed in this environment")
    done = subprocess.run(
        [tool, "build", "--draft", "--version", "0.0.0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "No significant changes" not in done.stdout
