"""`clary doctor`: what works on this machine, and how to mend what does not."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clary.cli import options
from clary.cli.checks.base import Finding, Grade
from clary.kernel import registry
from clary.kernel.settings import Settings

EXAMPLE = "clary doctor"
EXIT_CODES = "0 Clary can run here; 1 something must be mended first"
CHECKS = "clary.cli.checks"
ORDER = ("python", "objects", "sandbox", "cgroups", "memory", "disk", "port", "store")
MARKS = {
    Grade.OK: "[green]✓[/]",
    Grade.ABSENT: "[dim]·[/]",
    Grade.LIMITED: "[yellow]![/]",
    Grade.BROKEN: "[red]✗[/]",
}


def doctor(
    as_json: options.AsJson = False,
    data_dir: options.DataDir = None,
    port: Annotated[int | None, typer.Option("--port", metavar="PORT", help="Port to look at.")] = None,
) -> int:
    """Look at everything Clary needs, and say what to do."""
    settings = options.settings_of(data_dir, port=port)
    findings = examine(settings)
    is_broken = any(each.grade is Grade.BROKEN for each in findings)
    if as_json:
        print(json.dumps([asdict(each) for each in findings], indent=2))
        return int(is_broken)
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")  # a path is shown whole
    for each in findings:
        table.add_row(MARKS[each.grade], each.subject, _text(each))
    console.print(table)
    n_limited = sum(each.grade is Grade.LIMITED for each in findings)
    if is_broken:
        console.print("\n[red]Clary cannot run here yet: mend what is marked ✗.[/]")
    elif n_limited:
        console.print("\n[green]Clary can run here.[/] [dim]What is marked ! could be better.[/]")
    else:
        console.print("\n[green]Clary can run here.[/]")
    return int(is_broken)


def _text(finding: Finding) -> str:
    return escape(finding.text) + (f"\n[cyan]→ {escape(finding.mend)}[/]" if finding.mend else "")


def examine(settings: Settings) -> list[Finding]:
    """Return what every check of the folder found; a check that fails is a finding, too."""
    names = registry.stems(CHECKS)
    findings: list[Finding] = []
    for name in [*(each for each in ORDER if each in names), *(each for each in names if each not in ORDER)]:
        try:
            findings += registry.member(CHECKS, name).check(settings)
        except Exception as error:
            text = f"could not be looked at: {type(error).__name__}: {error}"
            findings.append(Finding(subject=name, grade=Grade.LIMITED, text=text, mend="report this, please"))
    return findings
